"""Random numbers that follow from (seed, step, rank) alone, so that a resumed training draws the same ones."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def seed_all(seed: int, *names: int) -> None:
    """Start the generators of Python, numpy and torch (every device) at a point that `seed` and `names` fix.

    Called before a model is built (its random weights), and by the trainer before every step (dropout): there is no
    state of a generator to save, and a validation in between changes nothing.
    """
    text = "/".join(str(name) for name in (seed, *names))
    value = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    random.seed(value)
    np.random.seed(value % (1 << 32))
    torch.manual_seed(value >> 1)
