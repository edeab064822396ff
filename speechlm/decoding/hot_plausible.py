"""Which hot words are worth writing into the LLM's prompt: those that the CTC head's text holds something like.

A long list distracts an LLM; the CTC head's greedy text costs nothing and filters it well (Yang et al. 2024, "CTC-assisted
LLM-based contextual ASR", arXiv 2411.06437).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from speechlm.text.normalize import Language, normalize

CHUNK = 512
"""Phrases compared at once; they are sorted by length, so little of it is padding."""


class Nearest:
    """Edit distances from many phrases to the parts of a text that are nearest to them (Sellers 1980), in characters."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self.order = sorted(range(len(phrases)), key=lambda number: len(phrases[number]))
        self.chunks: list[tuple[np.ndarray, np.ndarray]] = []  # (n, P) code points, padded with -1; (n,) lengths
        for start in range(0, len(phrases), CHUNK):
            some = [phrases[number] for number in self.order[start : start + CHUNK]]
            codes = np.full((len(some), max(map(len, some))), -1, dtype=np.int32)
            for row, phrase in zip(codes, some, strict=True):
                row[: len(phrase)] = [ord(character) for character in phrase]
            self.chunks.append((codes, np.array([len(phrase) for phrase in some])))

    def distances(self, text: str) -> np.ndarray:
        """Give (N,) int64: the fewest edits that make a part of the text (an empty one too) out of each phrase."""
        found = [_nearest(codes, lens, text) for codes, lens in self.chunks]
        whole = np.zeros(len(self.order), dtype=np.int64)
        whole[self.order] = np.concatenate(found) if found else []
        return whole


def _nearest(codes: np.ndarray, lens: np.ndarray, text: str) -> np.ndarray:
    """Go through the text once, all phrases (n, P) side by side.

    row[:, j]: edits from the first j characters of a phrase to the nearest part of the text that ends here.
    """
    steps = np.arange(codes.shape[1] + 1)
    row = np.broadcast_to(steps, (len(codes), len(steps)))
    best, rows = lens.copy(), np.arange(len(codes))
    for character in text:
        after = row + 1  # the text's character is put in
        after[:, 0] = 0  # a part may begin anywhere
        np.minimum(after[:, 1:], row[:, :-1] + (codes != ord(character)), out=after[:, 1:])
        # Leaving characters of the phrase out costs 1 each: the least of all that stand before, plus how far it is.
        row = np.minimum.accumulate(after - steps, axis=1) + steps
        np.minimum(best, row[rows, lens], out=best)
    return best


class HotPrompt:
    """Chooses the phrases that an utterance's prompt gets, and writes them.

    phrases: normalised, with their weights. write: from phrases to tokens of the LLM. distance: edits that a phrase may be
    from the nearest part of what was heard, as a share of its characters, 0 to 1; at 1 every phrase is plausible. most:
    phrases at the most.
    """

    def __init__(
        self,
        phrases: Mapping[str, float],
        write: Callable[[list[str]], list[int]],
        *,
        language: Language,
        distance: float,
        most: int,
    ) -> None:
        self.phrases, self.write, self.language, self.distance, self.most = phrases, write, language, distance, most
        self.nearest = Nearest(list(phrases))

    def plausible(self, heard: str | None) -> list[str]:
        """Choose the phrases: the nearest first, of equals the heavier, of these the earlier in the list.

        heard: the CTC head's text; None where there is no such head, then all are equally near.
        """
        edits = [0] * len(self.phrases)
        if heard is not None:
            edits = self.nearest.distances(normalize(heard, self.language)).tolist()
        ranked = [
            (edit / len(phrase), -weight, place, phrase)
            for place, ((phrase, weight), edit) in enumerate(zip(self.phrases.items(), edits, strict=True))
            if edit <= self.distance * len(phrase) + 1e-9
        ]
        return [phrase for *_, phrase in sorted(ranked)[: self.most]]
