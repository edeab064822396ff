"""How the learning rate goes over the steps: a factor that follows from the step alone, so there is nothing to save."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["warmup_linear", "warmup_cosine", "noam", "one_cycle", "constant"]

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4
ONE_CYCLE_WARMUP = 0.3


def lr_factor(step: int, kind: Schedule, *, warmup: int, steps: int, final: float = 0.0) -> float:
    """Give the share (0 to 1) of the highest learning rate at `step`, counted from 1 to `steps`.

    warmup_linear, warmup_cosine, constant: straight up in `warmup` steps, then down to `final` at the last step
    (straight, along half a cosine), or level.
    noam: up, then with 1 / sqrt(step) (Vaswani et al. 2017, section 5.3, scaled so that the top is 1).
    one_cycle: from 1/25 up and down to 1e-4 along half cosines (Smith and Topin 2018); without `warmup`, 30 % of the
    steps go up.
    """
    if step < 1:
        raise ValueError(f"steps are counted from 1, step is {step}")
    if kind == "one_cycle":
        return _one_cycle(step, warmup or max(1, round(ONE_CYCLE_WARMUP * steps)), steps)
    if step < warmup:
        return step / warmup
    if kind == "noam":
        return math.sqrt(max(1, warmup) / step)
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    if kind == "warmup_linear":
        return final + (1 - final) * (1 - done)
    if kind == "warmup_cosine":
        return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
    if kind == "constant":
        return 1.0
    raise ValueError(f"schedule must be one of warmup_linear, warmup_cosine, noam, one_cycle, constant, is {kind!r}")


def _one_cycle(step: int, top: int, steps: int) -> float:
    if step <= top:
        return _half_cosine(ONE_CYCLE_START, 1.0, step / top)
    return _half_cosine(1.0, ONE_CYCLE_END, min(1.0, (step - top) / max(1, steps - top)))


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
