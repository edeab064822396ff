"""Where the time of decoding goes: the encoder, the LLM's prefill, and the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PHASES = ("encode", "prefill", "decode")


def now(device: torch.device) -> float:
    """Read the monotonic clock when a GPU has done what it was given; its calls come back before that."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """Sums seconds by phase until they are taken: encode, prefill; what is left of the whole is decode."""

    def __init__(self) -> None:
        self.encode = self.prefill = 0.0

    @contextmanager
    def encoding(self, device: torch.device) -> Iterator[None]:
        """Count what the body takes as encode."""
        start = now(device)
        yield
        self.encode += now(device) - start

    def take(self, whole: float) -> dict[str, float]:
        """Share `whole` seconds out among the phases and begin again at zero."""
        encode, prefill = self.encode, self.prefill
        self.encode = self.prefill = 0.0
        return dict(zip(PHASES, (encode, prefill, max(0.0, whole - encode - prefill)), strict=True))
