"""A draft changes how many forward passes there are, and nothing else: greedy search is the oracle."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers.models.mistral import MistralConfig, MistralForCausalLM

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.draft import DraftedSearch, Text
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.test_fusion import PIECES
from test.decoding.tiny import KINDS, VOCAB, WIDTH, tiny_model

ENDS = [1, 2]
GREEDY = SearchOptions(beam=1)
CONSTRAINTS = {
    "none": {},
    "ngram": {"no_repeat_ngram": 2},
    "penalties": {"repetition_penalty": 1.3, "min_tokens": 6, "length_penalty": 0.4},
    "characters": {"no_repeat_ngram": 2, "no_repeat_unit": "character"},
    "valid": {"valid_text": True, "min_tokens": 3},
}


def corpus(count: int, seed: int = 0) -> tuple[list[Tensor], list[int]]:
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    prompts = [torch.randn(rng.choice([1, 3, 8, 30]), WIDTH, generator=generator) for _ in range(count)]
    return prompts, [rng.randint(1, 24) for _ in prompts]


def plain(model: nn.Module, options: SearchOptions, prompts: list[Tensor], limits: list[int]) -> list[Hypothesis]:
    search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, options, pieces=PIECES)
    return [h for (h,) in search.search(Seq.of(prompts), limits)]


def worsened(tokens: list[int], rng: random.Random) -> list[int]:
    """Leave tokens out, put others in, replace some."""
    found: list[int] = []
    for token in tokens:
        kind = rng.random()
        found += [] if kind < 0.1 else [rng.randrange(3, VOCAB), token] if kind < 0.2 else [token]
        if 0.2 < kind < 0.3:
            found[-1] = rng.randrange(VOCAB)
    return found


def assert_same(found: list[Hypothesis], truth: list[Hypothesis]) -> None:
    assert [h.tokens for h in found] == [h.tokens for h in truth]
    assert [h.finished for h in found] == [h.finished for h in truth]
    for one, other in zip(found, truth, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.token_scores == pytest.approx(other.token_scores, abs=1e-4)
        assert one.end_score == pytest.approx(other.end_score, abs=1e-4)


def drafted(
    model: nn.Module, options: SearchOptions, prompts: list[Tensor], limits: list[int], drafts: list[list[int]],
    order: list[int] | None = None, window: int = 32,
) -> tuple[list[Hypothesis], DraftedSearch]:  # fmt: skip
    search = DraftedSearch(
        model, model.get_input_embeddings(), ENDS, options, lambda name: drafts[int(name)], pieces=PIECES, window=window
    )
    found = dict(search.stream((str(i), prompts[i], limits[i]) for i in order or range(len(prompts))))
    return [found[str(i)][0] for i in range(len(prompts))], search


@pytest.mark.parametrize("constraints", list(CONSTRAINTS))
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_search_is_unchanged(kind: str, constraints: str) -> None:
    """Good drafts, bad ones, none, and those longer than an answer may be; any slots, any order, any window."""
    model, options = tiny_model(kind, 1), replace(GREEDY, **CONSTRAINTS[constraints])
    prompts, limits = corpus(12, seed=len(constraints))
    truth = plain(model, options, prompts, limits)
    rng = random.Random(7)
    drafts = [worsened(h.tokens, rng) if i % 4 else h.tokens * 3 for i, h in enumerate(truth)]
    drafts[1], drafts[2] = [], [rng.randrange(VOCAB) for _ in range(40)]
    for slots, window in ((1, 32), (5, 3), (12, 8)):
        order = rng.sample(range(12), 12)
        found, search = drafted(model, replace(options, batch_slots=slots), prompts, limits, drafts, order, window)
        assert_same(found, truth)
        assert search.effort.saved_passes > 0
        assert search.effort.passes + search.effort.saved_passes == sum(len(h.tokens) + h.finished for h in truth) or (
            options.valid_text  # there a last, unfinished character was said and taken away
        )


def test_a_perfect_draft_takes_one_pass() -> None:
    model = tiny_model("qwen2", 1)
    prompts, limits = corpus(9, seed=3)
    truth = plain(model, GREEDY, prompts, limits)
    assert max(len(h.tokens) for h in truth) > 8
    _, search = drafted(model, GREEDY, prompts, limits, [h.tokens for h in truth])
    assert {name: passes for name, (passes, _) in search.counts.items()} == {str(i): 1 for i in range(9)}
    assert {name: size for name, (_, size) in search.counts.items()} == {
        str(i): len(h.tokens) + h.finished for i, h in enumerate(truth)
    }
    useless, search = drafted(model, GREEDY, prompts, limits, [[]] * 9)
    assert_same(useless, truth)
    assert all(passes <= size for passes, size in search.counts.values())


def test_one_wrong_token_costs_one_pass() -> None:
    """Behind it the draft goes on, whether a token was replaced, lost or put in."""
    model = tiny_model("llama", 1)
    prompts, limits = corpus(20, seed=5)
    truth = plain(model, GREEDY, prompts, limits)
    longest = max(range(20), key=lambda i: len(set(truth[i].tokens)))
    text = truth[longest].tokens
    assert len(text) > 6
    other = next(token for token in range(3, VOCAB) if token not in text)
    for wrong in ([*text[:2], other, *text[3:]], [*text[:2], *text[3:]], [*text[:2], other, *text[2:]]):
        found, search = drafted(model, GREEDY, [prompts[longest]], [limits[longest]], [wrong])
        assert found[0].tokens == text
        assert search.counts["0"][0] < len(text) / 2


def test_where_a_draft_goes_on() -> None:
    text = Text(0, 99, [5, 6, 7, 8], 32)
    assert text.propose() == [5, 6, 7, 8]
    for token, rest in ((5, [6, 7, 8]), (9, [7, 8]), (7, [8])):
        text.add(token, 0.0)
        assert text.propose() == rest
    text.learn(0)
    assert len(Text(0, 3, [5, 6, 7, 8], 32).propose()) == 2  # the last token of the limit is never read


def test_padding_stays_inside_the_models_positions() -> None:
    """GPT-2 has 96 places; a slot near their end is padded beside one that reads a long draft."""
    model = tiny_model("gpt2", 1)
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randn(n, WIDTH, generator=generator) for n in (87, 2)]
    truth = plain(model, replace(GREEDY, min_tokens=9), prompts, [10, 30])
    drafts = [[], [token for token in truth[1].tokens[:1] + [0] + truth[1].tokens[2:]]]
    found, _ = drafted(model, replace(GREEDY, min_tokens=9), prompts, [10, 30], drafts)
    assert_same(found, truth)
    with pytest.raises(ValueError, match="exceed the LLM's 96 positions"):
        drafted(model, GREEDY, prompts, [11, 5], [[], []])


def test_a_sliding_window() -> None:
    torch.manual_seed(0)
    config = MistralConfig(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                           num_key_value_heads=2, sliding_window=4, initializer_range=0.4)  # fmt: skip
    model = MistralForCausalLM(config).eval()
    prompts, limits = corpus(6, seed=2)
    truth = plain(model, GREEDY, prompts, limits)
    rng = random.Random(1)
    found, _ = drafted(model, GREEDY, prompts, limits, [worsened(h.tokens, rng) for h in truth])
    assert_same(found, truth)


def test_scores_that_are_no_numbers_name_the_utterance() -> None:
    model = tiny_model("qwen2", 1)
    bad = torch.full((3, WIDTH), float("nan"))
    with pytest.raises(ValueError, match="^1: the model's scores are not numbers"):
        drafted(model, GREEDY, [torch.zeros(2, WIDTH), bad], [4, 4], [[5], [6]])


def test_only_greedy_search_is_verified() -> None:
    model = tiny_model("qwen2", 1)
    with pytest.raises(UserError, match="^draft: "):
        DraftedSearch(model, model.get_input_embeddings(), ENDS, SearchOptions(beam=2), lambda _: [])
