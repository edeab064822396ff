"""Auxiliary text of a wanted size, without the held-out sentences: streamed twice, nested from size to size."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from speechlm.core.errors import UserError
from speechlm.text.leakage import HeldOut, Leakage, fingerprint


@dataclass
class Auxiliary:
    """Chooses sentences by their hash: the same text gives the same sentences, and fewer are a subset of more.

    So 10 times as much text holds all of 1 time as much, and no file is favoured because it comes first. Memory is 8
    bytes for a sentence of the sources, and the sentences themselves are never held.

    sources: makes the stream of sentences, cut and normalised; called twice. held: what must not be in it. known:
    sentences that are there already (the transcripts) and are not chosen again. size: sentences wanted; 0 takes all.
    """

    sources: Callable[[], Iterable[str]]
    held: HeldOut
    known: Iterable[str]
    size: int = 0
    leakage: Leakage = field(default_factory=Leakage)
    read: int = 0
    different: int = 0

    def chosen(self) -> Iterator[str]:
        """Stream the chosen sentences in the order of the sources, each once.

        Raises UserError where the sources have fewer than `size` sentences to give.
        """
        hashes = self._candidates()
        self.different = len(hashes)
        if self.size and len(hashes) < self.size:
            raise UserError(
                f"auxiliary text: {self.size} sentences are wanted, the sources have {len(hashes)} different ones of "
                f"{self.read} that leak nothing; give more text or ask for less"
            )
        wanted = hashes[: self.size] if self.size else hashes
        waiting = np.ones(len(wanted), dtype=bool)
        for sentence in self.sources():
            mark = np.uint64(fingerprint(sentence))
            place = int(np.searchsorted(wanted, mark))
            if place < len(wanted) and wanted[place] == mark and waiting[place]:
                waiting[place] = False
                yield sentence

    def _candidates(self) -> np.ndarray:
        """Hash every sentence that may be chosen: (N,) uint64, sorted, each once."""
        found = array("Q")
        for sentence in self.sources():
            self.read += 1
            verdict = self.held.find(sentence)
            self.leakage.add(sentence, verdict)
            if verdict is None:
                found.append(fingerprint(sentence))
        hashes = np.unique(np.frombuffer(found, dtype=np.uint64)) if found else np.zeros(0, np.uint64)
        known = np.array([fingerprint(text) for text in self.known], dtype=np.uint64)
        return np.setdiff1d(hashes, known, assume_unique=False)
