"""How often each word was correct, left out, put in or taken for another: Kaldi's `ops`, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speechlm.io.files import atomic_open
from speechlm.scoring.align import GAP, GAP_ID, Errors, Vocabulary

OP_NAMES = ("correct", "deletion", "insertion", "substitution")
WORD_WIDTH = 16
EVENTS = 1 << 20
KEPT = 1000
SHIFT, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
Row = tuple[str, str, str, int]
"""(operation, reference, hypothesis, count)"""


class Ops:
    """Counts the words of a test set, correct and wrong; a million confusions take some tens of MB."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.units = vocabulary.units
        self.spoken = np.zeros(1024, dtype=np.int64)  # by number of the unit
        self.fresh_words = array("I")
        self.fresh_errors = array("Q")  # ref << 32 | hyp
        self.errors: list[tuple[np.ndarray, np.ndarray]] = []  # keys and how often, a block at a time

    def add(self, ref: list[int], errors: Errors) -> None:
        """Count one utterance: its reference, and the pairs of its alignment that are errors."""
        self.fresh_words.extend(ref)
        self.fresh_errors.extend([a << 32 | b for a, b in errors])
        if len(self.fresh_words) > EVENTS or len(self.fresh_errors) > EVENTS:
            self._pack()

    def _pack(self) -> None:
        if len(self.units) > len(self.spoken):
            self.spoken = np.concatenate([self.spoken, np.zeros(2 * len(self.units) - len(self.spoken), dtype=np.int64)])
        self.spoken += np.bincount(np.frombuffer(self.fresh_words, dtype=np.uint32), minlength=len(self.spoken))
        self.errors.append(np.unique(np.frombuffer(self.fresh_errors, dtype=np.uint64), return_counts=True))
        self.fresh_words, self.fresh_errors = array("I"), array("Q")
        if len(self.errors) > 8:
            self.errors = [_merged(self.errors)]

    def _errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the keys of all errors and how often each was."""
        if self.fresh_words or self.fresh_errors or not self.errors:
            self._pack()
        self.errors = [_merged(self.errors)]
        return self.errors[0]

    def _correct(self, keys: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Give how often each unit was recognised: spoken, less where it was lost."""
        refs = (keys >> SHIFT).astype(np.int64)
        correct = self.spoken.copy()
        np.subtract.at(correct, refs[refs != GAP_ID], counts[refs != GAP_ID])
        return correct

    def rows(self) -> Iterator[Row]:
        """Give all rows, each operation from the most frequent down, then by name."""
        keys, counts = self._errors()
        correct = self._correct(keys, counts)
        refs, hyps = (keys >> SHIFT).astype(np.int64), (keys & LOW).astype(np.int64)
        good = np.flatnonzero(correct)
        yield from self._named("correct", good, good, correct[good])
        kinds = np.where(refs == GAP_ID, 2, np.where(hyps == GAP_ID, 1, 3))
        for kind in (1, 2, 3):
            chosen = kinds == kind
            yield from self._named(OP_NAMES[kind], refs[chosen], hyps[chosen], counts[chosen])

    def _named(self, op: str, refs: np.ndarray, hyps: np.ndarray, counts: np.ndarray) -> Iterator[Row]:
        units = self.units
        for much in np.unique(counts)[::-1]:  # one frequency after the other: sorting names all at once costs memory
            chosen = counts == much
            named = [(units[a], units[b]) for a, b in zip(refs[chosen].tolist(), hyps[chosen].tolist())]
            for ref, hyp in sorted(named):
                yield op, ref, hyp, int(much)

    def write(self, path: Path) -> list[Row]:
        """Write `ops`; give back its rows, the most frequent 1,000 of each operation."""
        keys, counts = self._errors()
        gaps = bool(((keys >> SHIFT == GAP_ID) | (keys & LOW == GAP_ID)).any())
        width = min(max([len(unit) for unit in self.units[1:]] + [len(GAP) if gaps else 0]), WORD_WIDTH)
        digits = len(str(max([*counts.tolist(), self._correct(keys, counts).max()])))
        kept: list[Row] = []
        seen = dict.fromkeys(OP_NAMES, 0)
        with atomic_open(path) as file:
            for row in self.rows():
                op, ref, hyp, much = row
                file.write(f"{op:<12}  {ref:>{width}}    {hyp:>{width}}    {much:>{digits}}\n")
                seen[op] += 1
                if seen[op] <= KEPT:
                    kept.append(row)
        return kept


def _merged(blocks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys, back = np.unique(np.concatenate([keys for keys, _ in blocks]), return_inverse=True)
    counts = np.bincount(back, weights=np.concatenate([counts for _, counts in blocks]), minlength=len(keys))
    return keys, counts.astype(np.int64)
