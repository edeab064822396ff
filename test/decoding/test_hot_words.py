"""Hot words: the bonus by its definition, the search by the slow search, the list by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.ctc_fusion import CtcFusion
from speechlm.decoding.fusion import LMFusion
from speechlm.decoding.hot_words import HotWords, Spelt, _State
from speechlm.decoding.llm import LLMBeamSearch
from test.decoding.test_fusion import END, PIECES, next_scores, prompts_of, units_of
from test.decoding.tiny import VOCAB, tiny_model
from test.reference.beam_search import beam_search


def phrase(*tokens: int, weight: float = 1.0, at_start: bool = False) -> Spelt:
    return Spelt(tokens, (weight,) * len(tokens), at_start)


def whole(text: tuple[int, ...], phrases: list[Spelt]) -> float:
    """The most that phrases which do not overlap are worth in a text, by trying all of them at every place."""

    @cache
    def best(end: int) -> float:
        worth = [best(end - 1)] if end else [0.0]
        for one in phrases:
            start = end - len(one.tokens)
            if start >= 0 and text[start:end] == one.tokens and not (one.at_start and start):
                worth.append(best(start) + sum(one.gains))
        return max(worth)

    return best(len(text))


def running(text: tuple[int, ...], phrases: list[Spelt]) -> float:
    """The same, plus the most that a phrase begun at the text's end may have earned."""
    worth = [whole(text, phrases)]
    for one in phrases:
        for size in range(1, len(one.tokens) + 1):
            start = len(text) - size
            if start >= 0 and text[start:] == one.tokens[:size] and not (one.at_start and start):
                worth.append(whole(text[:start], phrases) + sum(one.gains[:size]))
    return max(worth)


TOKENS = st.lists(st.integers(3, 5), min_size=1, max_size=4)
PHRASES = st.lists(
    st.builds(lambda tokens, weight, start: phrase(*tokens, weight=weight, at_start=start),
              TOKENS, st.sampled_from([0.5, 1.0, 2.0]), st.booleans()),
    min_size=1, max_size=5,
)  # fmt: skip


@given(PHRASES, st.lists(st.integers(3, 6), max_size=12))
def test_the_bonus_is_its_definition(phrases: list[Spelt], text: list[int]) -> None:
    words = HotWords(phrases)
    state, total = _State(1), 0.0
    first = dict(zip(words.first_tokens, words.first_gains[False], strict=True))
    finish = dict(zip(words.first_tokens, words.first_gains[True], strict=True))
    for count, token in enumerate(text):
        before = tuple(text[:count])
        taken, gains = words.table(state, True)
        cut = total + taken + finish.get(token, 0.0) + gains.get(token, 0.0)
        assert cut == pytest.approx(whole((*before, token), phrases))
        taken, gains = words.table(state, False)
        assert total + taken == pytest.approx(whole(before, phrases))  # an end token
        total += taken + first.get(token, 0.0) + gains.get(token, 0.0)
        assert total == pytest.approx(running((*before, token), phrases))
        state = words.grow(state, token)[0]


LIST = [
    phrase(5, 6, 7, weight=2.0),
    phrase(6, 7),
    phrase(9, weight=3.0),
    phrase(9, 10, 11),
    phrase(12, 4, at_start=True),
]


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
@pytest.mark.parametrize("beam", [1, 3])
def test_the_search_is_the_slow_search(kind: str, beam: int) -> None:
    model = tiny_model(kind, 2)
    prompts, limits = prompts_of(3, 8, 5, 2), [6, 7, 5, 8]
    options = SearchOptions(beam=beam, nbest=beam, early_stopping="never", batch_slots=2)
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], options, hot=HotWords(LIST))
    off = LLMBeamSearch(model, model.get_input_embeddings(), [END], options).search(Seq.of(prompts), limits)
    changed = 0
    for number, (prompt, found) in enumerate(zip(prompts, search.search(Seq.of(prompts), limits), strict=True)):

        def scores(text: tuple[int, ...], prompt: Tensor = prompt, limit: int = limits[number]) -> list[float]:
            before = running(text, LIST)
            return [
                own + (whole(text, LIST) if token == END
                       else whole((*text, token), LIST) if len(text) + 1 == limit else running((*text, token), LIST)) - before
                for token, own in enumerate(next_scores(model, prompt, text))
            ]  # fmt: skip

        truth = beam_search(scores, beam=beam, ends=[END], limit=limits[number], early="never")
        assert [tuple(h.tokens) for h in found] == [f.tokens for f in truth]
        assert [h.score for h in found] == pytest.approx([f.score for f in truth], abs=1e-4)
        changed += found[0].tokens != off[number][0].tokens
    assert changed


def test_a_phrase_that_is_not_finished_leaves_no_trace() -> None:
    """The score of an answer without a hot word is that of the model alone."""
    model = tiny_model("llama", 1)
    prompts, limits = prompts_of(4, 7, 3, seed=3), [8, 8, 8]
    hot = HotWords([phrase(*range(5, 15), weight=0.3)])
    options = SearchOptions(beam=4, nbest=4, length_penalty=0.0)
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], options, hot=hot)
    for prompt, found in zip(prompts, search.search(Seq.of(prompts), limits), strict=True):
        for h in found:
            text = (*h.tokens, END) if h.finished else tuple(h.tokens)
            own = sum(next_scores(model, prompt, text[:i])[token] for i, token in enumerate(text))
            assert h.score == pytest.approx(own, abs=1e-3)


def test_what_is_decoded_beside_it_changes_nothing() -> None:
    """With everything on: four beams, constraints, another LM, the CTC head and hot words."""
    model, lm = tiny_model("qwen2", 1), tiny_model("gpt2", 2)
    prompts = prompts_of(3, 9, 2, 15, 4, 6, 1, seed=4)
    generator = torch.Generator().manual_seed(0)
    logits = {str(i): torch.randn(10 + 7 * i, 4, generator=generator) * 3 for i in range(7)}
    options = SearchOptions(beam=4, nbest=2, no_repeat_ngram=3, repetition_penalty=1.05, valid_text=True)

    def decode(slots: int, order: list[int], hot: HotWords | None) -> dict[str, list[tuple[list[int], float]]]:
        search = LLMBeamSearch(
            model, model.get_input_embeddings(), [END], replace(options, batch_slots=slots), pieces=PIECES,
            lm=LMFusion(lm, lm.get_input_embeddings(), [4], 0.2), hot=hot,
            ctc=CtcFusion(0.3, logits.__getitem__, units_of, PIECES, [END], candidates=12),
        )  # fmt: skip
        found = search.stream((str(i), prompts[i], 5 + i) for i in order)
        return {name: [(h.tokens, round(h.score, 4)) for h in row] for name, row in found}

    hot = HotWords(LIST)
    alone = decode(1, list(range(7)), hot)
    for slots in (2, 7):
        order = random.Random(slots).sample(range(7), 7)
        assert decode(slots, order, hot) == alone
    assert decode(3, list(range(7)), None) != alone
    assert max(token for rows in alone.values() for tokens, _ in rows for token in tokens) < VOCAB
