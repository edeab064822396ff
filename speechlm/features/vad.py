"""Long recordings cut where they are quietest: segments that cover all of it, without gap or overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from speechlm.core.errors import UserError

AROUND = 15
"""Frames of 10 ms on each side of a cut whose energy counts: a pause of 0.3 s is wanted, not a closed consonant."""
PAUSE = 10.0
"""A cut lies in a pause where it is at least this many dB below the mean of what it was chosen from."""
SILENCE = 1e-10
"""Energy of a frame that is taken for digital silence (a tenth of the last of 16 bits)."""


@dataclass(frozen=True)
class Part:
    """A run of samples (N,) of a recording; `start` is the number of its first.

    depth: how far in dB the cut at its end lies below the mean around it; infinity for the last part.
    """

    start: int
    samples: np.ndarray
    depth: float = math.inf

    @property
    def end(self) -> int:
        """Number of the sample behind the last."""
        return self.start + len(self.samples)

    @property
    def in_speech(self) -> bool:
        """True where no pause was found for the cut at its end."""
        return self.depth < PAUSE


def frame_energy(samples: np.ndarray, hop: int) -> np.ndarray:
    """Energy of each whole frame of `hop` samples, freed of its mean: (N,) -> (N // hop,) float64."""
    return samples[: len(samples) // hop * hop].reshape(-1, hop).var(axis=1, dtype=np.float64)


def quietest(energy: np.ndarray, low: int, high: int) -> tuple[int, float]:
    """Choose the frame before which to cut, low <= frame <= high, and tell how quiet it is there (dB, see `Part`).

    The least energy of the frames around it decides; of equally quiet places, the middle of the longest run.
    """
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    places = np.arange(low, high + 1)
    around = (sums[places + AROUND] - sums[places - AROUND]) / (2 * AROUND)
    quiet = np.flatnonzero(around <= around.min() * 1.001 + SILENCE)
    runs = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
    longest = max(reversed(runs), key=len)
    chosen = int(longest[len(longest) // 2])
    mean = float(energy[low - AROUND : high + AROUND].mean())
    return low + chosen, 10 * math.log10((mean + SILENCE) / (max(0.0, float(around[chosen])) + SILENCE))


class Splitter:
    """Cuts a recording that comes block by block into parts of at most `max_seconds`.

    As soon as more than that has come, the part ends at the quietest place of its second half; but never so that less
    than a second would be left at the recording's end. Cuts lie on a grid of 10 ms and do not depend on how the samples
    come in blocks. Memory: `max_seconds` and a block.
    """

    def __init__(self, rate: int, max_seconds: float = 30.0) -> None:
        """Prepare for samples at `rate` Hz. Raises UserError where max_seconds is below 1."""
        if not (math.isfinite(max_seconds) and max_seconds >= 1):
            raise UserError(f"--max_seconds: must be a number from 1 up, is {max_seconds:g}")
        self.hop = max(1, rate // 100)
        self.longest = int(max_seconds * rate) // self.hop
        self.rest = min(100, self.longest // 2)
        self.start = 0
        self.samples = np.zeros(0, dtype=np.float32)
        self.energy = np.zeros(0)

    def push(self, block: np.ndarray) -> list[Part]:
        """Take the next samples (N,); give the parts that are complete by now."""
        self.samples = np.concatenate([self.samples, block])
        new = frame_energy(self.samples[len(self.energy) * self.hop :], self.hop)
        self.energy = np.concatenate([self.energy, new])
        parts = []
        while len(self.energy) >= self.longest + self.rest:
            parts.append(self._cut(self.longest))
        return parts

    def finish(self) -> list[Part]:
        """Give the parts of what is left; none where nothing came."""
        parts = []
        while len(self.samples) > self.longest * self.hop:
            parts.append(self._cut(min(self.longest, len(self.energy) - self.rest)))
        if len(self.samples):
            parts.append(Part(self.start, self.samples))
        self.start += len(self.samples)
        self.samples, self.energy = self.samples[:0], self.energy[:0]
        return parts

    def _cut(self, high: int) -> Part:
        frame, depth = quietest(self.energy, self.longest // 2, high)
        part = Part(self.start, self.samples[: frame * self.hop].copy(), depth)
        self.start = part.end
        self.samples, self.energy = self.samples[len(part.samples) :], self.energy[frame:]
        return part


def split(blocks: Iterable[np.ndarray], rate: int, max_seconds: float = 30.0) -> Iterator[Part]:
    """Cut a recording (blocks (N,) of samples) into parts as `Splitter` does; they are the recording, none left out."""
    splitter = Splitter(rate, max_seconds)
    for block in blocks:
        yield from splitter.push(block)
    yield from splitter.finish()
