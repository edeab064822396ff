"""How often each word was correct, left out, put in or taken for another: Kaldi's `ops`, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from speechlm.io.files import atomic_open
from speechlm.scoring.align import GAP, GAP_ID, Alignment, Rows, Vocabulary

OP_NAMES = ("correct", "deletion", "insertion", "substitution")
WORD_WIDTH = 16
EVENTS = 1 << 18
SHIFT, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
Row = tuple[str, str, str, int]
"""(operation, reference, hypothesis, count)"""


class Ops:
    """Counts the words of a test set, correct and wrong; a million confusions take some tens of MB."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.units = vocabulary.units
        self.spoken = np.zeros(1024, dtype=np.int64)  # by number of the unit
        self.fresh = array("Q")  # ref << 32 | hyp
        self.errors: list[tuple[np.ndarray, np.ndarray]] = []  # keys and how often, a block at a time

    def add(self, refs: Rows, alignments: Sequence[Alignment]) -> None:
        """Count utterances: their references, and the errors of their alignments."""
        self._make_room()
        self.spoken += np.bincount(refs.numbers, minlength=len(self.spoken))
        self.fresh.extend([ref[place] << 32 | hyp[place] for ref, hyp, places in alignments for place in places])
        if len(self.fresh) > EVENTS:
            self._pack()

    def _make_room(self) -> None:
        if len(self.units) > len(self.spoken):
            more = np.zeros(2 * len(self.units) - len(self.spoken), dtype=np.int64)
            self.spoken = np.concatenate([self.spoken, more])

    def _pack(self) -> None:
        self.errors.append(np.unique(np.frombuffer(self.fresh, dtype=np.uint64), return_counts=True))
        self.fresh = array("Q")
        if len(self.errors) > 8:
            self.errors = [_merged(self.errors)]

    def _errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the keys of all errors and how often each was."""
        if self.fresh or not self.errors:
            self._pack()
        self.errors = [_merged(self.errors)]
        return self.errors[0]

    def _correct(self, keys: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Give how often each unit was recognised: spoken, less where it was lost."""
        refs = (keys >> SHIFT).astype(np.int64)
        correct = self.spoken.copy()
        np.subtract.at(correct, refs[refs != GAP_ID], counts[refs != GAP_ID])
        return correct

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Give all rows in Kaldi's order: operation (index in OP_NAMES), reference, hypothesis, count."""
        keys, counts = self._errors()
        correct = self._correct(keys, counts)
        good = np.flatnonzero(correct)
        refs = np.concatenate([good, (keys >> SHIFT).astype(np.int64)])
        hyps = np.concatenate([good, (keys & LOW).astype(np.int64)])
        counts = np.concatenate([correct[good], counts])
        ops = np.where(refs == hyps, 0, np.where(hyps == GAP_ID, 1, np.where(refs == GAP_ID, 2, 3)))
        rank = np.empty(len(self.units), dtype=np.int64)
        rank[sorted(range(len(self.units)), key=self.units.__getitem__)] = np.arange(len(self.units))
        order = np.lexsort((rank[hyps], rank[refs], -counts, ops))
        return ops[order], refs[order], hyps[order], counts[order]

    def rows(self) -> Iterator[Row]:
        """Give all rows, each operation from the most frequent down, then by name."""
        units = self.units
        for op, ref, hyp, much in zip(*(column.tolist() for column in self.table())):
            yield OP_NAMES[op], units[ref], units[hyp], much

    def write(self, path: Path) -> None:
        """Write `ops` as Kaldi does: all rows, the columns as wide as the longest word, 16 at the most."""
        ops, refs, hyps, counts = self.table()
        gaps = bool(((refs == GAP_ID) | (hyps == GAP_ID)).any())
        width = min(max([len(unit) for unit in self.units[1:]] + [len(GAP) if gaps else 0]), WORD_WIDTH)
        digits = len(str(counts.max(initial=0)))
        names = [f"{unit:>{width}}" for unit in self.units]
        heads = [f"{op:<12}  " for op in OP_NAMES]
        with atomic_open(path) as file:
            for start in range(0, len(ops), EVENTS):
                block = (column[start : start + EVENTS].tolist() for column in (ops, refs, hyps, counts))
                for op, ref, hyp, much in zip(*block):
                    file.write(f"{heads[op]}{names[ref]}    {names[hyp]}    {much:>{digits}}\n")


def _merged(blocks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys, back = np.unique(np.concatenate([keys for keys, _ in blocks]), return_inverse=True)
    counts = np.bincount(back, weights=np.concatenate([counts for _, counts in blocks]), minlength=len(keys))
    return keys, counts.astype(np.int64)
