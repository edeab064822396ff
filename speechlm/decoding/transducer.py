"""Greedy search with a transducer, all utterances of a batch at once, each at its own encoder step."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.hypothesis import Hypothesis

BLANK = 0
State = tuple[Tensor, Tensor]
"""Hidden and cell state of the predictor, each (layers, N, P)."""


class Head(Protocol):
    """What a search asks of a transducer's head."""

    encoder_proj: torch.nn.Module
    predictor_proj: torch.nn.Module

    def step(self, units: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Read units (N, 1); give states (N, 1, P) and where to go on."""
        ...

    def meet(self, acoustic: Tensor, text: Tensor) -> Tensor:
        """Score the units (..., V) where projected speech and text meet."""
        ...


class Predictor:
    """The predictor's states of N hypotheses; only those that get a new unit are computed again.

    text: (N, joint_dim) projected state of each hypothesis. state: the LSTM's.
    """

    def __init__(self, head: Head, count: int, device: torch.device) -> None:
        self.head = head
        start = torch.full((1, 1), BLANK, dtype=torch.int64, device=device)
        out, state = head.step(start, None)
        self.text = head.predictor_proj(out[:, 0]).repeat(count, 1)
        self.state: State = (state[0].repeat(1, count, 1), state[1].repeat(1, count, 1))

    def choose(self, parents: Tensor) -> None:
        """Let hypothesis n be the continuation of hypothesis parents[n]."""
        self.text = self.text[parents]
        self.state = (self.state[0][:, parents], self.state[1][:, parents])

    def read(self, places: Tensor, units: Tensor) -> None:
        """Let the hypotheses at `places` (M,) read a unit each (M,)."""
        if not len(places):
            return
        before = (self.state[0][:, places].contiguous(), self.state[1][:, places].contiguous())
        out, state = self.head.step(units[:, None], before)
        self.text[places] = self.head.predictor_proj(out[:, 0])
        for kept, new in zip(self.state, state, strict=True):
            kept[:, places] = new


@torch.inference_mode()
def transducer_greedy(head: Head, encoded: Seq, *, max_symbols: int = 5) -> list[Hypothesis]:
    """Take the best unit at every place of the lattice: a blank goes to the next encoder step, a unit stays.

    encoded: (B, T, D). max_symbols: units at one encoder step at the most, then the next step is taken as if a blank
    had come. A hypothesis's score is the log probability of the path taken (a blank that was forced counts as it is);
    a token's score its log probability where it was put out.
    """
    if max_symbols < 1:
        raise UserError(f"max_symbols: must be at least 1, is {max_symbols}")
    acoustic = head.encoder_proj(encoded.data)  # (B, T, joint_dim)
    rows, device = len(encoded.lens), encoded.lens.device
    predictor = Predictor(head, rows, device)
    place = torch.zeros(rows, dtype=torch.int64, device=device)
    here = torch.zeros_like(place)  # units put out at this step
    tokens: list[list[int]] = [[] for _ in range(rows)]
    gains: list[list[float]] = [[] for _ in range(rows)]
    totals = torch.zeros(rows, dtype=torch.float64, device=device)
    active = (encoded.lens > 0).nonzero()[:, 0]
    while len(active):
        logits = head.meet(acoustic[active, place[active]], predictor.text[active])
        log_probs = logits.float().log_softmax(-1)  # (A, V)
        best, units = log_probs.max(-1)
        full = here[active] >= max_symbols
        units = torch.where(full, BLANK, units)
        best = torch.where(full, log_probs[:, BLANK], best)
        totals[active] += best.double()
        spoken = units != BLANK
        grown = active[spoken]
        for row, unit, gain in zip(grown.tolist(), units[spoken].tolist(), best[spoken].tolist(), strict=True):
            tokens[row].append(unit)
            gains[row].append(gain)
        predictor.read(grown, units[spoken])
        place[active] += (~spoken).long()
        here[active] = torch.where(spoken, here[active] + 1, 0)
        active = active[place[active] < encoded.lens[active]]
    return [Hypothesis(*row) for row in zip(tokens, totals.tolist(), gains, strict=True)]
