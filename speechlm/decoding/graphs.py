"""Decoding steps at fixed shapes, so that a GPU replays a step as one CUDA graph instead of starting hundreds of kernels.

A step of a small or middle-sized LLM is so short that starting its kernels takes longer than they run. A graph is recorded
once for a shape; the shape of our steps changes with the utterances in the slots and the columns in use. So a step is
run over all slots, open or not, and over a number of columns that is rounded up: a search meets a handful of shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from speechlm.decoding.cache import Step

GRAIN = 64
"""Columns are rounded up to a multiple of this; more means fewer graphs and more masked columns to read."""
_WARM_UPS = 2  # lazy initialisation (cuBLAS workspaces) must not fall into the recording

Run = Callable[[Tensor, Step], Tensor]


def rounded(columns: int) -> int:
    """Give the number of columns that a step over so many is run with."""
    return -(-columns // GRAIN) * GRAIN


class FixedSteps:
    """Runs steps of S slots with K beams at fixed shapes; on CUDA each shape is recorded once and then replayed.

    run: (tokens (S, K), step) -> logits (S, K, V), which must do the same work for the same shapes: no branch on values.
    The caller's storage (weights, cache) must stay where it is; `forget` when it moves.
    """

    def __init__(self, run: Run, slots: int, beam: int, device: torch.device) -> None:
        self.run, self.slots, self.beam, self.device = run, slots, beam, device
        self.shapes: dict[int, _Shape] = {}

    def forget(self) -> None:
        """Drop what was recorded, because the cache has moved."""
        self.shapes.clear()

    def __call__(self, tokens: Tensor, step: Step) -> Tensor:
        """Run a step over the A open slots: tokens (A, K) -> logits (A, K, V)."""
        columns = rounded(step.used)
        if columns not in self.shapes:
            self.shapes[columns] = _Shape(self.run, self.slots, self.beam, columns, self.device)
        return self.shapes[columns](tokens, step)


class _Shape:
    """The inputs of a step of one shape, in places that do not change, and the graph that reads them."""

    def __init__(self, run: Run, slots: int, beam: int, columns: int, device: torch.device) -> None:
        def empty(*size: int) -> Tensor:
            return torch.zeros(slots, *size, dtype=torch.int64, device=device)

        self.run = run
        self.tokens = empty(beam)
        mask = torch.zeros(slots, beam, columns, device=device)
        self.step = Step(empty(beam), empty(beam), columns, mask, empty(columns))
        self.graph: torch.cuda.CUDAGraph | None = None
        self.logits: Tensor | None = None

    def __call__(self, tokens: Tensor, step: Step) -> Tensor:
        self._fill(tokens, step)
        if self.tokens.device.type != "cuda":
            return self._forward()[: len(tokens)]
        if self.graph is None:
            self._record()
        assert self.graph is not None and self.logits is not None
        self.graph.replay()
        return self.logits[: len(tokens)].clone()

    def _forward(self) -> Tensor:
        self.step.masks.clear()
        self.step.rows.clear()
        return self.run(self.tokens, self.step)

    def _fill(self, tokens: Tensor, step: Step) -> None:
        """Copy a step in. Slots that are not open write to their first columns and look at one: no row is empty (nan)."""
        open_, used = len(tokens), step.used
        self.tokens[:open_] = tokens
        self.tokens[open_:] = 0
        for mine, given in ((self.step.columns, step.columns), (self.step.places, step.places)):
            mine[:open_] = given
        self.step.columns[open_:] = torch.arange(tokens.shape[1], device=tokens.device)
        self.step.places[open_:] = 0
        self.step.held.zero_()
        self.step.held[:open_, :used] = step.held
        self.step.mask.fill_(-torch.inf)
        self.step.mask[:open_, :, :used] = step.mask
        self.step.mask[open_:, :, 0] = 0.0

    def _record(self) -> None:
        """Record the forward pass over these inputs; recording does not run it."""
        with torch.cuda.device(self.tokens.device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):  # each writes the same keys and values to the same columns
                    self._forward()
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.logits = self._forward()
