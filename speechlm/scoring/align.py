"""Align a hypothesis with its reference: Kaldi's alignment and Kaldi's counts, which are not the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import _kaldialign as kaldi  # the compiled half of kaldialign: its Python half renumbers every call, three times slower

GAP = "'***'"
GAP_ID = 0
Pairs = list[tuple[int, int]]


class Counts(NamedTuple):
    """Words of the reference and the errors against them."""

    words: int
    substitutions: int
    insertions: int
    deletions: int

    @property
    def errors(self) -> int:
        """All errors together."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def correct(self) -> int:
        """Reference words that were recognised."""
        return self.words - self.substitutions - self.deletions


class Vocabulary(dict[str, int]):
    """Numbers for the units of a test set, given out as they are met; 0 is the gap of an alignment."""

    def __init__(self) -> None:
        super().__init__()
        self.units: list[str] = [GAP]

    def __missing__(self, unit: str) -> int:
        number = len(self.units)
        self.units.append(unit)
        self[unit] = number
        return number

    def encode(self, units: Iterable[str]) -> list[int]:
        """Give the numbers of the units."""
        return [self[unit] for unit in units]


def align(ref: Sequence[int], hyp: Sequence[int]) -> Pairs:
    """Pair the numbers of two sequences as Kaldi's `align-text` does; 0 stands for a gap.

    Among alignments of equal cost it walks back from the end and prefers a substitution, then a deletion.
    """
    if ref == hyp:
        return list(zip(ref, hyp))
    return kaldi.align(ref, hyp, GAP_ID, False)


def count(ref: Sequence[int], hyp: Sequence[int], pairs: Pairs | None = None) -> Counts:
    """Count errors as Kaldi's `compute-wer` and sclite do.

    The sum is that of the alignment, but `compute-wer` breaks ties the other way than `align-text` (insertion and
    deletion before two substitutions), so that Kaldi's `wer_*` and `wer_details/ops` differ in the split.
    pairs: the alignment, if it is known: where its errors can be split in one way only, no second search is needed.
    """
    if ref == hyp:
        return Counts(len(ref), 0, 0, 0)
    if pairs is not None:
        errors = sum(a != b for a, b in pairs)
        longer = len(hyp) - len(ref)
        if errors - abs(longer) < 2:  # insertions - deletions is known: one pair of them would cost two errors
            return Counts(len(ref), errors - abs(longer), max(longer, 0), max(-longer, 0))
    found = kaldi.edit_distance(ref, hyp, False)
    return Counts(len(ref), found["sub"], found["ins"], found["del"])


def count_pairs(pairs: Iterable[tuple[object, object]], gap: object = GAP_ID) -> Counts:
    """Count the errors of one alignment as it stands (Kaldi's `#csid`)."""
    words = substitutions = insertions = deletions = 0
    for ref, hyp in pairs:
        words += ref != gap
        if ref != hyp:
            insertions += ref == gap
            deletions += hyp == gap
            substitutions += ref != gap and hyp != gap
    return Counts(words, substitutions, insertions, deletions)
