"""Speech kept in memory up to a limit, so that a small corpus is read from disk once."""

from __future__ import annotations

import numpy as np

GIB = 1 << 30


class MemoryCache:
    """Arrays by utterance id, up to `limit` GiB; what no longer fits is not kept. 0 keeps nothing."""

    def __init__(self, limit: float) -> None:
        self.free = int(limit * GIB)
        self.arrays: dict[str, np.ndarray] = {}

    def get(self, utt: str) -> np.ndarray | None:
        """Give the array of `utt` (not to be written to), or None."""
        return self.arrays.get(utt)

    def put(self, utt: str, array: np.ndarray) -> bool:
        """Keep an array if it fits; say whether it is kept."""
        if utt in self.arrays:
            return True
        if array.nbytes > self.free:
            return False
        kept = array.copy()  # a view would keep the whole archive alive
        kept.setflags(write=False)
        self.arrays[utt] = kept
        self.free -= kept.nbytes
        return True
