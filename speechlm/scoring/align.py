"""Align hypotheses with references as Kaldi's `align-text` does, and count errors as its `compute-wer` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    def errors(self) -> list[tuple[int, int]]:
        """Give the pairs that differ."""
        ref, hyp = self.ref, self.hyp
        return [(ref[place], hyp[place]) for place in self.places]


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
        return list(map(self.__getitem__, units))


def align(refs: Sequence[Sequence[int]], hyps: Sequence[Sequence[int]]) -> list[Alignment]:
    """Pair the numbers of each hypothesis with its reference's as Kaldi's `align-text` does; 0 stands for a gap.

    Among alignments of equal cost Kaldi walks back from the end and prefers a substitution, then a deletion. kaldialign
    prefers an insertion, so its alignments are not those of Kaldi's reports; and many utterances at a time in numpy
    are faster. The tables of utterances of like length are filled together.
    """
    found: list[Alignment] = [Alignment([], [], [])] * len(refs)
    open_ = []
    for index, (ref, hyp) in enumerate(zip(refs, hyps, strict=True)):
        if ref == hyp:
            found[index] = Alignment(list(ref), list(hyp), [])
        else:
            open_.append(index)
    open_.sort(key=lambda index: (len(refs[index]), len(hyps[index])))
    while open_:
        batch = _batch(open_, refs, hyps)
        open_ = open_[len(batch) :]
        for index, alignment in zip(batch, _align([refs[i] for i in batch], [hyps[i] for i in batch])):
            found[index] = alignment
    return found


def _batch(order: list[int], refs: Sequence[Sequence[int]], hyps: Sequence[Sequence[int]]) -> list[int]:
    """Take as many of the first utterances as fill a table of about CELLS cells together; one at the least."""
    wide = high = 0
    for size, index in enumerate(order):
        wide, high = max(wide, len(hyps[index]) + 1), max(high, len(refs[index]) + 1)
        if size and (size + 1) * wide * high > CELLS:
            return order[:size]
    return order


def _padded(rows: list[Sequence[int]], value: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a table (longest row, rows), one column an utterance, and the lengths."""
    lens = np.array([len(row) for row in rows])
    table = np.full((max(int(lens.max()), 1), len(rows)), value, dtype=np.int32)
    numbers = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(lens.sum()))
    table.T[np.arange(len(table)) < lens[:, None]] = numbers
    return table, lens


def _align(refs: list[Sequence[int]], hyps: list[Sequence[int]]) -> list[Alignment]:
    ref, ref_lens = _padded(refs, -1)
    hyp, hyp_lens = _padded(hyps, -2)
    moves = _moves(ref, hyp)
    columns = np.arange(len(refs))
    m, n = ref_lens.copy(), hyp_lens.copy()
    walked: list[tuple[np.ndarray, np.ndarray]] = []
    while m.any() or n.any():
        move = moves[m, n, columns]
        at_ref, at_hyp = (move != INSERTION) & (m > 0), (move != DELETION) & (n > 0)
        walked.append((np.where(at_ref, ref[m - 1, columns], GAP_ID), np.where(at_hyp, hyp[n - 1, columns], GAP_ID)))
        m, n = m - at_ref, n - at_hyp
    walked.reverse()  # those of shorter alignments stand still at the start: pairs of two gaps in front
    left = np.stack([a for a, _ in walked], axis=1)
    right = np.stack([b for _, b in walked], axis=1)
    starts = ((left == GAP_ID) & (right == GAP_ID)).sum(axis=1)
    rows, places = np.nonzero(left != right)
    ends = np.searchsorted(rows, columns, side="right").tolist()
    places = (places - starts[rows]).tolist()
    table = zip(left.tolist(), right.tolist(), starts.tolist(), [0, *ends], ends)
    return [Alignment(a[start:], b[start:], places[low:high]) for a, b, start, low, high in table]


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


def count(ref: Sequence[int], hyp: Sequence[int], errors: int | None = None) -> Counts:
    """Count errors as Kaldi's `compute-wer` and sclite do.

    The sum is that of the alignment, but `compute-wer` breaks ties the other way than `align-text` (insertion and
    deletion before two substitutions), so that Kaldi's `wer_*` and `wer_details/ops` differ in the split.
    errors: their number, if it is known: where they can be split in one way only, no second search is needed.
    """
    if errors == 0 or ref == hyp:
        return Counts(len(ref), 0, 0, 0)
    longer = len(hyp) - len(ref)  # insertions - deletions; one more pair of them would cost two errors
    if errors is not None and errors - abs(longer) < 2:
        return Counts(len(ref), errors - abs(longer), max(longer, 0), max(-longer, 0))
    found = kaldi.edit_distance(ref, hyp, False)
    return Counts(len(ref), found["sub"], found["ins"], found["del"])
