"""Alignments against the table on paper, counts against kaldialign (which counts as Kaldi's compute-wer and sclite do)."""

from __future__ import annotations

import random

import kaldialign
import pytest

from speechlm.scoring import align as module
from speechlm.scoring.align import Counts, Rows, Vocabulary, count, split
from test.scoring import slow_align


def align(refs: list[list[int]], hyps: list[list[int]]) -> list[module.Alignment]:
    return module.align(Rows.of(refs), Rows.of(hyps))


def counts_of(refs: list[list[int]], hyps: list[list[int]]) -> list[Counts]:
    return count(Rows.of(refs), Rows.of(hyps), align(refs, hyps))


def columns(found) -> list[tuple[int, int]]:
    return list(zip(found.ref, found.hyp))


def sample(number: int, words: int, longest: int, seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    random_ = random.Random(seed)
    pairs = [slow_align.utterance(random_, words, longest) for _ in range(number)]
    return [ref for ref, _ in pairs], [hyp for _, hyp in pairs]


@pytest.mark.parametrize(("words", "longest", "number"), [(2, 7, 800), (4, 12, 500), (60, 20, 300), (3, 150, 6)])
def test_alignments_are_those_of_the_table(words: int, longest: int, number: int) -> None:
    refs, hyps = sample(number, words, longest)
    for ref, hyp, found in zip(refs, hyps, align(refs, hyps), strict=True):
        assert columns(found) == slow_align.align(ref, hyp), (ref, hyp)
        assert found.places == [i for i, (a, b) in enumerate(columns(found)) if a != b]


def test_an_utterance_is_aligned_alike_in_every_company(monkeypatch: pytest.MonkeyPatch) -> None:
    refs, hyps = sample(300, 5, 25)
    together = align(refs, hyps)
    assert align(refs[::-1], hyps[::-1]) == together[::-1]
    monkeypatch.setattr(module, "CELLS", 1)  # one utterance a table
    assert align(refs, hyps) == together


def test_long_utterances_do_not_overflow() -> None:
    random_ = random.Random(1)
    ref = [random_.randint(1, 40) for _ in range(700)]
    hyp = [word for word in ref if random_.random() > 0.1]
    [found] = align([ref], [hyp])
    assert len(found.places) == len(ref) - len(hyp)
    assert columns(found) == slow_align.align(ref, hyp)


@pytest.mark.parametrize(("words", "longest"), [(2, 6), (5, 15), (500, 20)])
def test_counts_are_those_of_kaldialign(words: int, longest: int) -> None:
    refs, hyps = sample(1500, words, longest, seed=2)
    for ref, hyp, found, counts in zip(refs, hyps, align(refs, hyps), counts_of(refs, hyps), strict=True):
        oracle = kaldialign.edit_distance(ref, hyp)
        assert counts == Counts(len(ref), oracle["sub"], oracle["ins"], oracle["del"]), (ref, hyp)
        assert split(len(ref), [pair for pair in columns(found) if pair[0] != pair[1]]).errors == oracle["total"]


def test_the_two_splits_of_kaldi_differ() -> None:
    ref, hyp = [1, 2], [2, 3]
    [found] = align([ref], [hyp])
    assert split(2, columns(found)) == Counts(2, 2, 0, 0)  # align-text: two substitutions
    assert counts_of([ref], [hyp]) == [Counts(2, 0, 1, 1)]  # compute-wer: a deletion and an insertion
    assert counts_of([ref], [hyp])[0].correct == 1


def test_empty_sides() -> None:
    found = align([[], [1, 2], []], [[3], [], []])
    assert [columns(one) for one in found] == [[(0, 3)], [(1, 0), (2, 0)], []]
    assert align([], []) == []
    assert align([[]], [[]])[0].ref == []
    assert counts_of([[], [1]], [[], []]) == [Counts(0, 0, 0, 0), Counts(1, 0, 0, 1)]


def test_vocabulary_gives_numbers_as_words_come() -> None:
    vocabulary = Vocabulary()
    found = vocabulary.encode([["b", "a"], [], ["b"]])
    assert [found.row(index) for index in range(3)] == [[1, 2], [], [1]]
    assert vocabulary.units == ["'***'", "b", "a"]
