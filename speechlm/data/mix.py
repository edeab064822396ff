"""Several data sets as one, each with a share of the epoch: corpora of different size, or so much non-speech."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from speechlm.core.errors import UserError
from speechlm.data.dataset import Example
from speechlm.data.texts import LazyIds


class ExampleSet(Protocol):
    """What a loader needs of a data set."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of all utterances."""
        ...

    @property
    def sizes(self) -> np.ndarray:
        """(N,) seconds that each utterance counts for in a batch."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int, epoch: int) -> Example:
        """Read one utterance as it is in this epoch."""
        ...

    def choose(self, epoch: int) -> np.ndarray:
        """Give the indices that make up an epoch."""
        ...

    def preload(self) -> None:
        """Fill the memory cache."""
        ...


class MixedDataset:
    """Several sets behind each other; an epoch takes from each as its share says.

    A set without share (None) is taken whole, once an epoch. A share (0 to 1) is the part of an epoch's utterances that
    come from that set: 0.05 for non-speech means every twentieth utterance (2312.03668). If all sets have a share, the
    epoch is as long as the first set lasts. From a set that is larger than its share, every epoch takes the next piece
    of a random order; a smaller one is gone through several times.

    Raises: UserError when shares are out of range or leave nothing for the sets without share.
    """

    def __init__(self, parts: Sequence[ExampleSet], shares: Sequence[float | None], *, seed: int = 0) -> None:
        if not parts or len(parts) != len(shares):
            raise ValueError(f"{len(parts)} sets and {len(shares)} shares; there must be one share for each set")
        self.parts, self.seed = list(parts), seed
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.counts = _counts([len(part) for part in parts], shares)

    @cached_property
    def ids(self) -> Sequence[str]:
        """Ids of all sets, behind each other; read from disk one by one where a set does so."""
        if not any(isinstance(part.ids, LazyIds) for part in self.parts):
            return [utt for part in self.parts for utt in part.ids]
        return LazyIds(self._id_of, len(self))

    def _id_of(self, index: int) -> str:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.parts[part].ids[index - int(self.starts[part])]

    @cached_property
    def sizes(self) -> np.ndarray:
        """(N,) seconds of all sets, behind each other."""
        return np.concatenate([part.sizes for part in self.parts])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, index: int, epoch: int) -> Example:
        """Read one utterance of the set that `index` falls into."""
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.parts[part].read(index - int(self.starts[part]), epoch)

    def preload(self) -> None:
        """Fill the memory cache of every set."""
        for part in self.parts:
            part.preload()

    def choose(self, epoch: int) -> np.ndarray:
        """Give the indices of an epoch; they follow from (seed, epoch) alone."""
        return np.concatenate(
            [
                start + self._piece(k, count, epoch)
                for k, (start, count) in enumerate(zip(self.starts, self.counts, strict=False))
            ]
        )

    def _piece(self, part: int, count: int, epoch: int) -> np.ndarray:
        """Cut [epoch * count, (epoch + 1) * count) out of the endless row of random orders of a set."""
        size = len(self.parts[part])
        first, last = epoch * count, (epoch + 1) * count
        rounds = range(first // size, -(-last // size))
        orders = [np.random.default_rng([self.seed, part, turn]).permutation(size) for turn in rounds]
        skip = first - rounds.start * size if count else 0
        return np.concatenate(orders)[skip : skip + count] if orders else np.zeros(0, dtype=np.int64)


def _counts(sizes: list[int], shares: Sequence[float | None]) -> list[int]:
    """Turn shares into numbers of utterances in an epoch."""
    given = [share for share in shares if share is not None]
    for share in given:
        if not 0 < share <= 1:
            raise UserError(f"the share of a data set must be above 0 and at most 1, is {share}")
    total_share = sum(given)
    if len(given) == len(shares):
        if abs(total_share - 1) > 1e-6:
            raise UserError(f"the shares of all data sets must add up to 1, they are {total_share:g}")
        total = sizes[0] / given[0]
    elif total_share >= 1:
        raise UserError(f"shares of {total_share:g} leave nothing for the data sets without a share")
    else:
        total = sum(size for size, share in zip(sizes, shares, strict=True) if share is None) / (1 - total_share)
    counts = [size if share is None else round(share * total) for size, share in zip(sizes, shares, strict=True)]
    return [max(1, count) for count in counts]
