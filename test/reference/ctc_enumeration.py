"""CTC by writing down every path: slow, obvious, right."""

from __future__ import annotations

import itertools
import math


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    """Merge repeats, then drop blanks (0)."""
    merged = [unit for unit, _ in itertools.groupby(path)]
    return tuple(unit for unit in merged if unit != 0)


def ctc_negative_log_likelihood(log_probs: list[list[float]], targets: list[int]) -> float:
    """-log of the summed probability of every path over T steps and V units that collapses to `targets`."""
    vocabulary = range(len(log_probs[0]))
    total = sum(
        math.exp(sum(step[unit] for step, unit in zip(log_probs, path, strict=True)))
        for path in itertools.product(vocabulary, repeat=len(log_probs))
        if collapse(path) == tuple(targets)
    )
    return -math.log(total) if total else math.inf
