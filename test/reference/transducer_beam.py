"""All unit sequences of a transducer, each with the exact sum over its alignments: slow, obvious."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from speechlm.core.seq import Seq
from speechlm.heads.transducer import TransducerHead


def sequence_log_prob(head: TransducerHead, encoded: Tensor, units: tuple[int, ...]) -> float:
    """log p(units | encoded (T, D)): the forward recursion, cell by cell (arXiv 1211.3711, equation 16)."""
    targets = Seq(torch.tensor([list(units)], dtype=torch.int64).reshape(1, -1), torch.tensor([len(units)]))
    logits, _ = head(Seq(encoded[None], torch.tensor([len(encoded)])), targets)
    scores = logits[0].double().log_softmax(-1)  # (T, U + 1, V)
    alpha: dict[tuple[int, int], Tensor] = {}
    for t, u in itertools.product(range(len(encoded)), range(len(units) + 1)):
        ways = []
        if t:
            ways.append(alpha[t - 1, u] + scores[t - 1, u, 0])
        if u:
            ways.append(alpha[t, u - 1] + scores[t, u - 1, units[u - 1]])
        alpha[t, u] = torch.logsumexp(torch.stack(ways), 0) if ways else scores.new_zeros(())
    return float(alpha[len(encoded) - 1, len(units)] + scores[-1, -1, 0])


def all_sequences(head: TransducerHead, encoded: Tensor, vocab: int, longest: int) -> list[tuple[float, list[int]]]:
    """Every sequence of up to `longest` units with its log probability, best first."""
    found = [
        (sequence_log_prob(head, encoded, units), list(units))
        for size in range(longest + 1)
        for units in itertools.product(range(1, vocab), repeat=size)
    ]
    return sorted(found, key=lambda one: -one[0])


def greedy(head: TransducerHead, encoded: Tensor, max_symbols: int) -> list[int]:
    """One utterance, one unit after the other."""
    units: list[int] = []
    for frame in encoded:
        for _ in range(max_symbols):
            read = Seq(torch.tensor([units], dtype=torch.int64).reshape(1, -1), torch.tensor([len(units)]))
            unit = int(head.join(frame, head.predict(read).data[0, -1]).argmax())
            if unit == 0:
                break
            units.append(unit)
    return units
