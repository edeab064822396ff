"""The gate: what is decoded beside an utterance never changes its result."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.tiny import KINDS, WIDTH, tiny_model

ENDS = [1, 2]
OPTIONS = SearchOptions(beam=4, nbest=4, no_repeat_ngram=3, repetition_penalty=1.05, min_tokens=1, length_penalty=0.7)


def corpus(count: int, seed: int = 0) -> tuple[list[Tensor], list[int]]:
    """Draw prompts of very different lengths, and limits."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    prompts = [torch.randn(rng.choice([1, 2, 5, 17, 40]), WIDTH, generator=generator) for _ in range(count)]
    return prompts, [rng.randint(1, 25) for _ in prompts]


def decode(
    kind: str, options: SearchOptions, prompts: list[Tensor], limits: list[int], order: list[int]
) -> list[list[Hypothesis]]:
    """Stream the corpus in this order through `batch_slots` slots."""
    model = tiny_model(kind, 1)
    search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, options)
    found = dict(search.stream((str(i), prompts[i], limits[i]) for i in order))
    assert sorted(found) == sorted(map(str, order))
    return [found[str(i)] for i in range(len(prompts))]


def assert_same(left: list[list[Hypothesis]], right: list[list[Hypothesis]]) -> None:
    """Token for token, scores to 1e-5 (a single token's rounding is not averaged over the answer)."""
    for a, b in zip(left, right, strict=True):
        assert [h.tokens for h in a] == [h.tokens for h in b]
        assert [h.finished for h in a] == [h.finished for h in b]
        assert [h.score for h in a] == pytest.approx([h.score for h in b], abs=1e-5)
        for one, other in zip(a, b, strict=True):
            assert one.token_scores == pytest.approx(other.token_scores, abs=5e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_of_one_is_batch_of_many_in_any_order(kind: str) -> None:
    prompts, limits = corpus(14)
    order = list(range(len(prompts)))
    alone = decode(kind, replace(OPTIONS, batch_slots=1), prompts, limits, order)
    assert len({tuple(hypotheses[0].tokens) for hypotheses in alone}) > 7, "the corpus must not be trivial"
    for slots in (3, 14):
        assert_same(alone, decode(kind, replace(OPTIONS, batch_slots=slots), prompts, limits, order))
        random.Random(slots).shuffle(order)
        assert_same(alone, decode(kind, replace(OPTIONS, batch_slots=slots), prompts, limits, order))


def test_sharded_is_whole() -> None:
    prompts, limits = corpus(9, seed=4)
    whole = decode("qwen2", OPTIONS, prompts, limits, list(range(9)))
    model = tiny_model("qwen2", 1)
    search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, OPTIONS)
    shards = [search.search(Seq.of(prompts[job::3]), limits[job::3]) for job in range(3)]
    assert_same(whole, [shards[i % 3][i // 3] for i in range(9)])


def test_padding_of_a_batch_is_never_read() -> None:
    prompts, limits = corpus(6, seed=2)
    model = tiny_model("llama", 1)
    search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, OPTIONS)
    clean = Seq.of(prompts)
    dirty = Seq(torch.where(clean.mask[..., None], clean.data, 1e3), clean.lens)
    assert_same(search.search(clean, limits), search.search(dirty, limits))


def test_prompts_are_taken_only_when_there_is_room() -> None:
    prompts, limits = corpus(12, seed=3)
    model = tiny_model("qwen2", 1)
    search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, replace(OPTIONS, batch_slots=3))
    taken = 0

    def source() -> object:
        nonlocal taken
        for i, prompt in enumerate(prompts):
            taken += 1
            yield str(i), prompt, limits[i]

    for done, _ in enumerate(search.stream(source())):
        assert taken <= done + 3 + 3  # what has left, what is inside, and what left in the same step


def test_prefill_in_parts_is_prefill_at_once() -> None:
    prompts, limits = corpus(8, seed=5)
    model = tiny_model("gpt2", 1)
    found = [
        LLMBeamSearch(model, model.get_input_embeddings(), ENDS, OPTIONS, prefill_steps=steps).search(
            Seq.of(prompts), limits
        )
        for steps in (1, 30, 4096)
    ]
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


def test_bf16_autocast_runs_and_is_near() -> None:
    prompts, limits = corpus(6, seed=6)
    model = tiny_model("qwen3", 1)
    search = LLMBeamSearch(model, model.get_input_embeddings(), ENDS, replace(OPTIONS, nbest=1))
    exact = search.search(Seq.of(prompts), limits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = search.search(Seq.of(prompts), limits)
    assert all(torch.tensor(h.token_scores + [h.score]).isfinite().all() for (h,) in rough)
    # a random model is all near-ties, so that tokens may differ; the best score may not differ by much
    assert [h.score for (h,) in rough] == pytest.approx([h.score for (h,) in exact], abs=0.25)
