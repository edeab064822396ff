"""Which utterances make a batch: as many as fit into so many seconds, of about the same length, in a random order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

LOGGER = logging.getLogger(__name__)

SPREAD = 0.1
"""Durations are blurred by this share before sorting, so that an epoch's batches differ from the last one's."""


class DurationSampler:
    """Batches of utterance indices whose padded duration (utterances times the longest) stays within `batch_seconds`.

    Utterances of similar duration come together, the batches in random order; both follow from (seed, epoch) alone, so
    the position (epoch, index) is all there is to save, and going to it costs the same anywhere in the epoch. Every
    rank gets the same number of batches, and at one step all ranks get batches of similar duration, so that none waits
    for another. No utterance is dropped or repeated for that (batches are split), unless there are fewer utterances
    than ranks.

    seconds: duration of each utterance. max_utterances: 0 for no limit. choose: epoch -> the indices that make it up
    (None: all). An utterance longer than `batch_seconds` makes a batch of its own.
    """

    def __init__(
        self,
        seconds: Sequence[float] | np.ndarray,
        *,
        batch_seconds: float,
        max_utterances: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        choose: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self.seconds = np.asarray(seconds, dtype=np.float64)
        if not len(self.seconds):
            raise ValueError("there must be at least one utterance to sample from")
        if batch_seconds <= 0:
            raise ValueError(f"batch_seconds must be above 0, is {batch_seconds}")
        if not 0 <= rank < world:
            raise ValueError(f"rank must be 0 to {world - 1}, is {rank}")
        self.batch_seconds, self.max_utterances = batch_seconds, max_utterances
        self.seed, self.rank, self.world, self.shuffle, self.choose = seed, rank, world, shuffle, choose
        self.epoch = self.index = 0
        self._made: tuple[int, list[np.ndarray]] | None = None

    def __len__(self) -> int:
        """Number of batches of this epoch on every rank."""
        return len(self.batches())

    def __iter__(self) -> Iterator[list[int]]:
        """Give this rank's batches from the position on to the end of the epoch; the position stays."""
        for batch in self.batches()[self.index :]:
            yield batch.tolist()

    def set_epoch(self, epoch: int, index: int = 0) -> None:
        """Go to batch `index` of `epoch`."""
        self.epoch, self.index = epoch, index

    def advance(self) -> None:
        """Count one batch as taken; after the last one the next epoch begins."""
        self.index += 1
        if self.index >= len(self):
            self.set_epoch(self.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Give the position and what it depends on."""
        return {"seed": self.seed, "epoch": self.epoch, "index": self.index, "batches": len(self), "world": self.world}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a position.

        Where the data, the batch size or the number of ranks changed, the same share of the epoch counts as done.
        """
        self.seed = int(state["seed"])
        self.set_epoch(int(state["epoch"]))
        index, before = int(state["index"]), int(state["batches"])
        if before != len(self) or int(state["world"]) != self.world:
            index = min(len(self) - 1, round(index * len(self) / before))
            LOGGER.warning(
                "an epoch had %d batches on %d ranks and has %d on %d now: going on at batch %d",
                before, state["world"], len(self), self.world, index,
            )  # fmt: skip
        self.set_epoch(self.epoch, index)

    def batches(self) -> list[np.ndarray]:
        """This rank's batches of the present epoch, in order."""
        if self._made is None or self._made[0] != self.epoch:
            self._made = (self.epoch, self.batches_of(self.epoch))
        return self._made[1]

    def batches_of(self, epoch: int) -> list[np.ndarray]:
        """This rank's batches of an epoch, in order."""
        random = np.random.default_rng([self.seed, epoch])
        every = self._even(self._cut(random, epoch))
        steps = [every[start : start + self.world] for start in range(0, len(every), self.world)]
        order = random.permutation(len(steps)) if self.shuffle else np.arange(len(steps))
        return [steps[step][self.rank] for step in order]

    def largest(self) -> list[int]:
        """The batch of the epoch with the most padded seconds on any rank: a trial of the memory."""
        every = self._cut(np.random.default_rng([self.seed, self.epoch]), self.epoch)
        return max(every, key=lambda batch: len(batch) * self.seconds[batch].max()).tolist()

    def _cut(self, random: np.random.Generator, epoch: int) -> list[np.ndarray]:
        """Sort by blurred duration, longest first, and cut where the next utterance would not fit."""
        chosen = np.arange(len(self.seconds)) if self.choose is None else self.choose(epoch)
        seconds = self.seconds[chosen]
        key = seconds
        if self.shuffle:
            # The permutation decides between utterances of the same duration, the blur between similar ones.
            chosen = chosen[random.permutation(len(chosen))]
            seconds = self.seconds[chosen]
            key = seconds * (1 + SPREAD * random.random(len(chosen)))
        order = np.argsort(-key, kind="stable")
        chosen, lengths = chosen[order], _numbers(seconds[order])
        cuts, start, longest = [], 0, 0.0
        for i, length in enumerate(lengths):
            longest = max(longest, length)
            full = self.max_utterances and i - start >= self.max_utterances
            if i > start and (full or (i - start + 1) * longest > self.batch_seconds):
                cuts.append(i)
                start, longest = i, length
        return np.split(chosen, cuts)

    def _even(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        """Split the batches with the most utterances until every rank gets the same number of them."""
        for _ in range(-len(batches) % self.world):
            widest = max(range(len(batches)), key=lambda i: len(batches[i]))
            batch = batches[widest]
            half = len(batch) // 2
            # One utterance cannot be split: it is given to two ranks.
            batches[widest : widest + 1] = [batch[:half], batch[half:]] if half else [batch, batch]
        return batches


def _numbers(values: np.ndarray) -> Iterator[float]:
    """Go through an array as fast as through its list, without the memory of ten million Python numbers."""
    for start in range(0, len(values), 1 << 16):
        yield from values[start : start + (1 << 16)].tolist()
