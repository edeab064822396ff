"""How sure a number is: the bootstrap interval of one system, and whether one of two systems is really better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REPLICATIONS = 10_000
BLOCK = 1_000_000
"""Draws held in memory at a time."""


class Interval(NamedTuple):
    """A mean with its 95 % interval, in percent."""

    mean: float
    low: float
    high: float


class Paired(NamedTuple):
    """Two systems on one test set.

    difference: rate of the second minus rate of the first with its 95 % interval, in percent points (negative: the
    second is better). better: share of the replications where the second is better. p: two-sided.
    """

    difference: Interval
    better: float
    p: float


def _rates(values: np.ndarray, replications: int, seed: int) -> np.ndarray:
    """Draw test sets of the same size with replacement; give the sums of each (replications, columns).

    values: (utterances, columns) integers. Equal utterances are drawn together, as one multinomial count: the same
    distribution, and a million short utterances need only some hundred draws a replication.
    """
    generator = np.random.default_rng(seed)
    size = tuple(int(top) + 1 for top in values.max(axis=0))
    keys, counts = np.unique(np.ravel_multi_index(tuple(values.T), size), return_counts=True)
    kinds, number = np.stack(np.unravel_index(keys, size), axis=1), len(values)
    few = 8 * len(kinds) < number
    sums = np.empty((replications, values.shape[1]))
    step = max(1, BLOCK // (len(kinds) if few else number))
    for start in range(0, replications, step):
        stop = min(start + step, replications)
        if few:
            sums[start:stop] = generator.multinomial(number, counts / number, size=stop - start) @ kinds
        else:
            sums[start:stop] = values[generator.integers(number, size=(stop - start, number))].sum(axis=1)
    return sums


def bootstrap_interval(
    words: Sequence[int], errors: Sequence[int], replications: int = REPLICATIONS, seed: int = 0
) -> Interval:
    """Give the 95 % interval of an error rate as Kaldi's `compute-wer-bootci` does.

    Utterances are drawn with replacement; mean +- 1.96 standard deviations of the rate (Bisani and Ney 2004, Bootstrap
    estimates for confidence intervals in ASR performance evaluation). words, errors: of each utterance.
    """
    if sum(words) == 0:
        rate = math.inf if sum(errors) else 0.0
        return Interval(rate, rate, rate)
    sums = _rates(np.stack([words, errors], axis=1), replications, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = 100 * sums[:, 1] / sums[:, 0]
    rates = rates[np.isfinite(rates)]
    spread = 1.96 * float(rates.std())
    mean = float(rates.mean())
    return Interval(mean, mean - spread, mean + spread)


def paired_bootstrap(
    words: Sequence[int], first: Sequence[int], second: Sequence[int], replications: int = REPLICATIONS, seed: int = 0
) -> Paired:
    """Compare two systems on the same utterances; each replication draws the same utterances for both.

    words, first, second: words of each reference and the errors of the two systems. The interval is made of
    percentiles; p is twice the smaller side (Bisani and Ney 2004, section 3).
    """
    if sum(words) == 0:
        raise ValueError("words: the references are empty; there is no rate to compare")
    sums = _rates(np.stack([words, first, second], axis=1), replications, seed)
    sums = sums[sums[:, 0] > 0]
    gaps = 100 * (sums[:, 2] - sums[:, 1]) / sums[:, 0]
    low, high = np.percentile(gaps, [2.5, 97.5])
    below, above = float((gaps < 0).mean()), float((gaps > 0).mean())
    # Never 0: with R replications nothing smaller than 1/R can be told.
    p = min(1.0, 2 * max(1 - max(below, above), 1 / len(gaps)))
    whole = 100 * (sum(second) - sum(first)) / sum(words)
    return Paired(Interval(whole, float(low), float(high)), below, p)


def matched_pairs(segments: Sequence[tuple[int, int]]) -> float:
    """Give the two-sided p of the matched-pairs test over segments (Gillick and Cox 1989, as sc_stats' MAPSSWE).

    segments: errors of the first and the second system in each segment (see `split_segments`). Normal approximation;
    1.0 where the systems never differ.
    """
    gaps = np.asarray([a - b for a, b in segments], dtype=np.float64)
    if len(gaps) < 2 or not gaps.any():
        return 1.0
    spread = gaps.std(ddof=1)
    if spread == 0:
        return 0.0
    z = abs(gaps.mean()) / (spread / math.sqrt(len(gaps)))
    return math.erfc(z / math.sqrt(2))


Columns = Sequence[tuple[str | None, str | None]]


def split_segments(first: Columns, second: Columns, buffer: int = 2) -> list[tuple[int, int]]:
    """Cut an utterance where both systems have at least `buffer` correct words in a row; count errors in between.

    first, second: alignments of the two systems with one reference (None is a gap). The errors of two such segments
    are independent as far as an n-gram model goes, which is what the test asks for. Segments without errors are left
    out.
    """
    segments: list[tuple[int, int]] = []
    bad, good = [0, 0], 0
    for a, b in zip(_errors_by_word(first), _errors_by_word(second), strict=True):
        if a or b:
            if good >= buffer and any(bad):
                segments.append((bad[0], bad[1]))
                bad = [0, 0]
            bad[0] += a
            bad[1] += b
            good = 0
        else:
            good += 1
    if any(bad):
        segments.append((bad[0], bad[1]))
    return segments


def _errors_by_word(columns: Columns) -> list[int]:
    """Count errors at each reference word; an insertion belongs to the word before it, the first place is the start."""
    errors = [0]
    for ref, hyp in columns:
        if ref is None:
            errors[-1] += 1
        else:
            errors.append(int(ref != hyp))
    return errors
