"""Edit distance as one writes it on paper: the whole table, one cell after the other. The oracle of the fast aligner."""

from __future__ import annotations

import random


def table(ref: list[int], hyp: list[int]) -> list[list[int]]:
    cost = [[0] * (len(hyp) + 1) for _ in range(len(ref) + 1)]
    for m in range(len(ref) + 1):
        for n in range(len(hyp) + 1):
            if m == 0 or n == 0:
                cost[m][n] = m + n
            else:
                diagonal = cost[m - 1][n - 1] + (ref[m - 1] != hyp[n - 1])
                cost[m][n] = min(diagonal, cost[m - 1][n] + 1, cost[m][n - 1] + 1)
    return cost


def align(ref: list[int], hyp: list[int]) -> list[tuple[int, int]]:
    """Walk back from the end; of equal ways take the diagonal, then the deletion (Kaldi's align-text)."""
    cost, m, n = table(ref, hyp), len(ref), len(hyp)
    pairs = []
    while m or n:
        if m and n and cost[m][n] == cost[m - 1][n - 1] + (ref[m - 1] != hyp[n - 1]):
            m, n = m - 1, n - 1
            pairs.append((ref[m], hyp[n]))
        elif m and cost[m][n] == cost[m - 1][n] + 1:
            m -= 1
            pairs.append((ref[m], 0))
        else:
            n -= 1
            pairs.append((0, hyp[n]))
    return pairs[::-1]


def utterance(random_: random.Random, words: int, longest: int) -> tuple[list[int], list[int]]:
    """Make a reference and a hypothesis: a distorted copy, or something else altogether."""
    ref = [random_.randint(1, words) for _ in range(random_.randint(0, longest))]
    if random_.random() < 0.2:
        return ref, [random_.randint(1, words) for _ in range(random_.randint(0, longest))]
    hyp = []
    for word in ref:
        luck = random_.random()
        hyp += [] if luck < 0.08 else [random_.randint(1, words)] if luck < 0.2 else [word]
        hyp += [random_.randint(1, words)] if luck > 0.93 else []
    return ref, hyp
