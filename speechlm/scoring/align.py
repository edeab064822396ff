"""Align hypotheses with references as Kaldi's `align-text` does, and count errors as its `compute-wer` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import _kaldialign as kaldi  # the compiled half of kaldialign: its Python half renumbers every call, four times slower
import numpy as np

GAP = "'***'"
GAP_ID = 0
CELLS = 1 << 19
"""Cells of the tables that are filled together."""
DIAGONAL, DELETION, INSERTION = 0, 1, 2


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


class Alignment(NamedTuple):
    """Columns of a reference and a hypothesis side by side, 0 for a gap, and the places where they differ."""

    ref: list[int]
    hyp: list[int]
    places: list[int]


class Rows:
    """Sequences of numbers of different length, one after the other in one array.

    numbers: (sum of lengths,) int32, all above 0. lens: (B,) int64.
    """

    def __init__(self, numbers: np.ndarray, lens: np.ndarray) -> None:
        self.numbers, self.lens = numbers, lens

    @staticmethod
    def of(rows: Sequence[Sequence[int]]) -> Rows:
        """Put lists behind each other."""
        lens = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        return Rows(np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(lens.sum())), lens)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each row begins."""
        return np.cumsum(self.lens) - self.lens

    def row(self, index: int) -> list[int]:
        """Give one sequence."""
        start = self.starts[index]
        return self.numbers[start : start + self.lens[index]].tolist()

    def table(self, chosen: np.ndarray, fill: int) -> tuple[np.ndarray, np.ndarray]:
        """Pad the chosen rows into a table (longest, rows), one column a sequence; give it with the lengths."""
        lens, steps = self.lens[chosen], np.arange(max(int(self.lens[chosen].max()), 1))[:, None]
        places = np.minimum(self.starts[chosen] + steps, max(len(self.numbers) - 1, 0))
        numbers = self.numbers[places] if len(self.numbers) else np.zeros(places.shape, dtype=np.int32)
        return np.where(steps < lens, numbers, np.int32(fill)), lens


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

    def encode(self, rows: Sequence[Sequence[str]]) -> Rows:
        """Give the numbers of the units of many transcripts."""
        lens = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        numbers = map(self.__getitem__, chain.from_iterable(rows))
        return Rows(np.fromiter(numbers, dtype=np.int32, count=int(lens.sum())), lens)


def align(refs: Rows, hyps: Rows) -> list[Alignment]:
    """Align each hypothesis with its reference as Kaldi's `align-text` does.

    Among alignments of equal cost Kaldi walks back from the end and prefers a substitution, then a deletion. kaldialign
    prefers an insertion, so its alignments are not those of Kaldi's reports; and many utterances at a time in numpy
    are faster. The tables of utterances of like length are filled together.
    """
    assert len(refs.lens) == len(hyps.lens), f"{len(refs.lens)} references, {len(hyps.lens)} hypotheses"
    found: list[Alignment] = [Alignment([], [], [])] * len(refs.lens)
    for batch in _batches(refs.lens, hyps.lens):
        for index, alignment in zip(batch.tolist(), _align(refs, hyps, batch)):
            found[index] = alignment
    return found


def _batches(ref_lens: np.ndarray, hyp_lens: np.ndarray) -> Iterator[np.ndarray]:
    """Sort utterances by length and part them so that the tables of a batch have about CELLS cells together."""
    order = np.lexsort((hyp_lens, ref_lens))
    while len(order):
        wide = np.maximum.accumulate(hyp_lens[order]) + 1
        cells = (ref_lens[order] + 1) * wide * np.arange(1, len(order) + 1)
        number = max(1, int(np.searchsorted(cells, CELLS, side="right")))
        yield order[:number]
        order = order[number:]


def _align(refs: Rows, hyps: Rows, chosen: np.ndarray) -> Iterator[Alignment]:
    (ref, ref_lens), (hyp, hyp_lens) = refs.table(chosen, -1), hyps.table(chosen, -2)
    moves = _moves(ref, hyp)
    columns = np.arange(len(chosen))
    m, n = ref_lens, hyp_lens
    left, right = [], []
    while m.any() or n.any():
        move = moves[m, n, columns]
        at_ref, at_hyp = (move != INSERTION) & (m > 0), (move != DELETION) & (n > 0)
        left.append(np.where(at_ref, ref[m - 1, columns], GAP_ID))
        right.append(np.where(at_hyp, hyp[n - 1, columns], GAP_ID))
        m, n = m - at_ref, n - at_hyp
    if not left:
        return iter([Alignment([], [], [])] * len(chosen))
    # The walk went backwards; alignments that ended sooner have pairs of two gaps in front.
    first, second = np.stack(left[::-1], axis=1), np.stack(right[::-1], axis=1)
    starts = ((first == GAP_ID) & (second == GAP_ID)).sum(axis=1)
    rows, places = np.nonzero(first != second)
    ends = np.searchsorted(rows, columns, side="right").tolist()
    places = (places - starts[rows]).tolist()
    table = zip(first.tolist(), second.tolist(), starts.tolist(), [0, *ends], ends)
    return (Alignment(a[start:], b[start:], places[low:high]) for a, b, start, low, high in table)


def _moves(ref: np.ndarray, hyp: np.ndarray) -> np.ndarray:
    """Fill the tables of edit distances; give the move that leads to each cell (ref length + 1, hyp length + 1, B)."""
    height, width, size = len(ref) + 1, len(hyp) + 1, ref.shape[1]
    kind = np.int8 if height + width < 120 else np.int16 if height + width < 32_000 else np.int32
    steps = np.arange(width, dtype=kind)[:, None]
    moves = np.empty((height, width, size), dtype=np.int8)
    moves[0], moves[:, 0] = INSERTION, DELETION
    row = np.broadcast_to(steps, (width, size)).copy()
    for m in range(1, height):
        deletion = row + kind(1)
        diagonal = row[:-1] + (hyp != ref[m - 1])
        row = deletion.copy()
        np.minimum(row[1:], diagonal, out=row[1:])
        row -= steps  # an insertion costs one for each step to the right: a running minimum finds the best start
        np.minimum.accumulate(row, axis=0, out=row)
        row += steps
        # DIAGONAL where it is as good as any, else DELETION before INSERTION
        np.subtract(INSERTION, deletion[1:] == row[1:], out=moves[m, 1:], dtype=np.int8, casting="unsafe")
        moves[m, 1:] *= diagonal != row[1:]
    return moves


def split(words: int, errors: Iterable[tuple[object, object]], gap: object = GAP_ID) -> Counts:
    """Count the errors of one alignment as it stands (Kaldi's `#csid`).

    words: length of the reference. errors: the pairs that differ.
    """
    insertions = deletions = substitutions = 0
    for ref, hyp in errors:
        if ref == gap:
            insertions += 1
        elif hyp == gap:
            deletions += 1
        else:
            substitutions += 1
    return Counts(words, substitutions, insertions, deletions)


def count(refs: Rows, hyps: Rows, alignments: Sequence[Alignment]) -> list[Counts]:
    """Count errors as Kaldi's `compute-wer` and sclite do, by kaldialign.

    The sum is that of the alignment, but `compute-wer` breaks ties the other way than `align-text` (insertion and
    deletion before two substitutions), so that Kaldi's `wer_*` and `wer_details/ops` differ in the split. Where the
    errors can be split in one way only, no second search is needed.
    """
    made = []
    table = zip(refs.lens.tolist(), hyps.lens.tolist(), alignments)
    for index, (words, length, alignment) in enumerate(table):
        errors, longer = len(alignment.places), length - words
        if errors - abs(longer) < 2:  # insertions - deletions = longer; one more pair of them would cost two errors
            made.append(Counts(words, errors - abs(longer), max(longer, 0), max(-longer, 0)))
        else:
            found = kaldi.edit_distance(refs.row(index), hyps.row(index), False)
            made.append(Counts(words, found["sub"], found["ins"], found["del"]))
    return made
