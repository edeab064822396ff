"""CTC searches against enumeration of all paths and against a dictionary of prefixes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechlm.core.seq import Seq
from speechlm.decoding.ctc import ctc_greedy, ctc_prefix_beam
from test.reference.ctc_prefix import collapse, prefix_search, texts_of


def batch(seed: int, lens: list[int], size: int, sharp: float = 1.0) -> Seq:
    generator = torch.Generator().manual_seed(seed)
    return Seq(torch.randn(len(lens), max(lens), size, generator=generator) * sharp, torch.tensor(lens))


def log_probs_of(logits: Seq) -> list[np.ndarray]:
    return [row.double().log_softmax(-1).numpy() for row in logits.rows()]


@pytest.mark.parametrize("seed", range(6))
def test_prefix_beam_is_the_sum_over_all_paths(seed: int) -> None:
    logits = batch(seed, [5, 3, 4], 4)
    found = ctc_prefix_beam(logits, beam=250, nbest=5)
    for row, log_probs in zip(found, log_probs_of(logits), strict=True):
        truth = sorted(texts_of(log_probs).items(), key=lambda item: -item[1])
        assert [tuple(h.tokens) for h in row] == [text for text, _ in truth[:5]]
        assert [h.score for h in row] == pytest.approx([math.log(p) for _, p in truth[:5]], abs=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_prefix_beam_is_the_dictionary_search(seed: int) -> None:
    """Longer utterances and a narrow beam, where prefixes leave the beam and come back."""
    logits = batch(seed, [20, 13, 17], 4 + seed % 3, sharp=0.5 + seed % 2)
    found = ctc_prefix_beam(logits, beam=4, nbest=4)
    for row, log_probs in zip(found, log_probs_of(logits), strict=True):
        truth = sorted(prefix_search(log_probs, 4), key=lambda item: -item[1])
        assert [tuple(h.tokens) for h in row] == [text for text, _ in truth]
        assert [h.score for h in row] == pytest.approx([score for _, score in truth], abs=1e-4)


def test_prefix_beam_finds_what_greedy_misses() -> None:
    """Two weak paths of one text beat the single best path (Graves et al. 2006, figure 2)."""
    logits = Seq(torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log(), torch.tensor([2]))
    assert ctc_greedy(logits)[0].tokens == []
    best = ctc_prefix_beam(logits, beam=2)[0][0]
    assert best.tokens == [1]
    assert math.exp(best.score) == pytest.approx(0.64)


def test_tokens_per_frame_prunes_only_extensions() -> None:
    logits = batch(3, [30, 22], 12, sharp=4.0)
    whole = ctc_prefix_beam(logits, beam=6)
    pruned = ctc_prefix_beam(logits, beam=6, tokens_per_frame=8)
    assert [row[0].tokens for row in whole] == [row[0].tokens for row in pruned]


@pytest.mark.parametrize("search", ["greedy", "prefix"])
def test_alone_is_the_same_as_in_a_batch(search: str) -> None:
    logits = batch(5, [9, 1, 25, 14], 7, sharp=2.0)
    logits.data[~logits.mask] = 50.0  # what stands in the padding must not matter

    def best(seq: Seq) -> list[tuple[list[int], float]]:
        rows = ctc_greedy(seq) if search == "greedy" else [row[0] for row in ctc_prefix_beam(seq, beam=5)]
        return [(h.tokens, h.score) for h in rows]

    together = best(logits)
    alone = [best(Seq.of([row]))[0] for row in logits.rows()]
    assert [tokens for tokens, _ in together] == [tokens for tokens, _ in alone]
    assert [score for _, score in together] == pytest.approx([score for _, score in alone], abs=1e-5)


def test_greedy_merges_repeats_and_tells_how_sure_it_is() -> None:
    logits = batch(8, [40, 31], 5, sharp=3.0)
    for hypothesis, log_probs in zip(ctc_greedy(logits), log_probs_of(logits), strict=True):
        path = log_probs.argmax(1)
        assert hypothesis.tokens == list(collapse(tuple(path)))
        assert hypothesis.score == pytest.approx(log_probs.max(1).sum(), abs=1e-4)
        sure, run = [], -1
        for t, unit in enumerate(path):
            if unit and (t == 0 or unit != path[t - 1]):
                sure.append(log_probs[t, unit])
                run = unit
            elif unit and unit == run:
                sure[-1] = max(sure[-1], log_probs[t, unit])
        assert hypothesis.token_scores == pytest.approx(sure, abs=1e-5)


def test_an_utterance_of_blanks_says_nothing() -> None:
    data = torch.full((1, 6, 4), -20.0)
    data[..., 0] = 20.0
    logits = Seq(data, torch.tensor([6]))
    assert ctc_greedy(logits)[0].tokens == []
    assert ctc_prefix_beam(logits)[0][0].tokens == []


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="nbest"):
        ctc_prefix_beam(batch(0, [3], 3), beam=2, nbest=3)
    with pytest.raises(ValueError, match="tokens_per_frame"):
        ctc_prefix_beam(batch(0, [3], 3), tokens_per_frame=-1)
