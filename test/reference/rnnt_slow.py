"""The RNN transducer's loss, by the forward recursion in plain loops and by writing down every path."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def rnnt_forward(logits: Tensor, targets: list[int]) -> Tensor:
    """-log p(targets) from logits (T, U + 1, V), blank 0, by alpha[t, u]; differentiable."""
    scores = logits.log_softmax(-1)
    steps, rows, _ = scores.shape
    alpha: list[list[Tensor]] = [[torch.zeros(()) for _ in range(rows)] for _ in range(steps)]
    for t in range(steps):
        for u in range(rows):
            ways = []
            if t > 0:
                ways.append(alpha[t - 1][u] + scores[t - 1, u, 0])
            if u > 0:
                ways.append(alpha[t][u - 1] + scores[t, u - 1, targets[u - 1]])
            alpha[t][u] = torch.logsumexp(torch.stack(ways), 0) if ways else scores.new_zeros(())
    return -(alpha[-1][-1] + scores[-1, -1, 0])


def rnnt_enumeration(logits: Tensor, targets: list[int]) -> Tensor:
    """The same by choosing in every way where among the first T + U - 1 moves the units are put out."""
    scores = logits.log_softmax(-1)
    steps, units = len(scores), len(targets)
    paths = []
    for places in itertools.combinations(range(steps - 1 + units), units):
        t = u = 0
        path = scores.new_zeros(())
        for move in range(steps - 1 + units):
            if move in places:
                path = path + scores[t, u, targets[u]]
                u += 1
            else:
                path = path + scores[t, u, 0]
                t += 1
        paths.append(path + scores[t, u, 0])  # the last blank ends
    return -torch.logsumexp(torch.stack(paths), 0)
