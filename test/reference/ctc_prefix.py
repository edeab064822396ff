"""CTC by enumeration: every path of a short utterance, one after another. Slow and obvious."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    """Merge repeats, drop blanks (0)."""
    return tuple(unit for unit, _ in itertools.groupby(path) if unit != 0)


def texts_of(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Give the probability of every text that log probabilities (T, V) can say."""
    probabilities: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        probabilities[collapse(path)] += float(np.exp(sum(log_probs[t, unit] for t, unit in enumerate(path))))
    return dict(probabilities)


def prefix_probability(log_probs: np.ndarray, prefix: tuple[int, ...]) -> float:
    """Give the probability that the text begins with `prefix`."""
    return sum(p for text, p in texts_of(log_probs).items() if text[: len(prefix)] == prefix)


def best_path_of(log_probs: np.ndarray, text: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
    """Give the most probable path that says `text`, and its log probability."""
    paths = itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
    scored = (
        (sum(log_probs[t, unit] for t, unit in enumerate(path)), path) for path in paths if collapse(path) == text
    )
    score, path = max(scored)
    return path, float(score)


def prefix_search(log_probs: np.ndarray, beam: int) -> list[tuple[tuple[int, ...], float]]:
    """Prefix beam search with a dictionary of prefixes, as it is written in papers."""
    beams = {(): (0.0, -np.inf)}
    for frame in log_probs:
        found: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-np.inf, -np.inf])
        for prefix, (blank, spoken) in beams.items():
            total = np.logaddexp(blank, spoken)
            found[prefix][0] = np.logaddexp(found[prefix][0], total + frame[0])
            for unit in range(1, len(frame)):
                longer = found[(*prefix, unit)]
                if prefix and unit == prefix[-1]:
                    found[prefix][1] = np.logaddexp(found[prefix][1], spoken + frame[unit])
                    longer[1] = np.logaddexp(longer[1], blank + frame[unit])
                else:
                    longer[1] = np.logaddexp(longer[1], total + frame[unit])
        ranked = sorted(found.items(), key=lambda item: -np.logaddexp(*item[1]))
        beams = {prefix: (scores[0], scores[1]) for prefix, scores in ranked[:beam]}
    return [(prefix, float(np.logaddexp(*scores))) for prefix, scores in beams.items()]
