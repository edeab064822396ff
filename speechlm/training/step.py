"""One step's loss: each loss is a mean over all its terms on all ranks and in all accumulated batches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from speechlm.core.batch import Batch, Output
from speechlm.core.errors import UserError
from speechlm.training.distributed import sum_over_ranks, world
from speechlm.training.parallel import gradient_sync

Loss = Callable[[Output, Batch], tuple[Tensor, Tensor]]


class LossTerm(NamedTuple):
    """A loss with the name it is logged by and its weight in the sum."""

    name: str
    weight: float
    loss: Loss


class LossModel(nn.Module):
    """The model and its losses as one module: Batch -> (sums (K,), counts (K,), notes).

    Losses that own parameters are trained and saved with the model.
    """

    def __init__(self, model: nn.Module, terms: Sequence[LossTerm]) -> None:
        super().__init__()
        names = [term.name for term in terms]
        if not terms or len(set(names)) < len(names):
            raise UserError(f"losses must be one or more, each with its own name, are: {', '.join(names) or 'none'}")
        self.model = model
        self.losses = nn.ModuleDict({term.name: term.loss for term in terms if isinstance(term.loss, nn.Module)})
        self.terms = list(terms)
        self.touched: list[tuple[nn.Module, str]] = []

    def touch(self, parameters: list[tuple[nn.Module, str]]) -> None:
        """Let these parameters, given as (module, name in it), get a gradient from every batch, if only zeros.

        Ranks exchange the gradients that are there: over a part that one rank's batch uses and another's does not they
        would talk past each other.
        """
        self.touched = parameters

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Compute all losses of a batch; sums and counts are fp32."""
        output = self.model(batch)
        pairs = [term.loss(output, batch) for term in self.terms]
        sums = torch.stack([total.float() for total, _ in pairs])
        for owner, name in self.touched:
            sums = sums + 0 * getattr(owner, name).flatten()[0].float()
        counts = torch.stack([torch.as_tensor(count, device=sums.device, dtype=torch.float32) for _, count in pairs])
        return sums, counts.detach(), output.notes


@dataclass
class StepResult:
    """What a step's batches gave.

    sums, counts: (K,) over all ranks and batches. local_sums: of each batch of this rank. notes: scalars of the model,
    mean over this rank's batches. seconds of audio, real and padded speech steps: over all ranks and batches.
    stop: a rank was asked to stop.
    """

    sums: Tensor
    counts: Tensor
    notes: dict[str, float]
    local_sums: list[list[float]]
    seconds: float
    steps_real: float
    steps_padded: float
    stop: bool

    @property
    def means(self) -> Tensor:
        """(K,) mean of each loss; 0 where it had no term."""
        return self.sums / self.counts.clamp(min=1)


class Accumulator:
    """Runs forward and backward of a step's batches so that the gradient is that of sum_k weight_k * S_k / C_k.

    S_k and C_k are sum and count of loss k over all ranks and all batches of the step. So the result depends neither on
    the number of ranks nor on how utterances fall into batches. (A mean of the batches' means gives short batches too
    much weight.)

    With one batch a step the counts are added up between forward and backward. With several batches and one loss
    the gradients of the sums are added and divided at the end. With several of both, the counts must be known
    before: they are found by a forward pass without gradient.
    """

    def __init__(
        self, module: nn.Module, terms: Sequence[LossTerm], device: torch.device, precision: Literal["fp32", "bf16"]
    ) -> None:
        self.module, self.device, self.precision = module, device, precision
        self.weights = torch.tensor([term.weight for term in terms], device=device)

    def run(self, batches: list[Batch], parameters: Sequence[nn.Parameter], *, stop: bool = False) -> StepResult:
        """Leave the step's gradient in the parameters; `stop` is told to all ranks."""
        facts = _facts(batches, stop)
        batches = [batch.to(self.device) for batch in batches]
        late = len(batches) > 1 and len(self.weights) == 1
        total = self._count(batches) if len(batches) > 1 and not late else None
        forwards: list[tuple[Tensor, Tensor, dict[str, float]]] = []
        for turn, batch in enumerate(batches):
            with gradient_sync(self.module, turn == len(batches) - 1):
                sums, counts, notes = self._forward(batch)
                if len(batches) == 1:
                    total = sum_over_ranks(counts)
                scale = torch.ones_like(self.weights) if late else self._scale(total)
                (sums * scale).sum().backward()
            forwards.append((sums.detach(), counts, notes))
        result = self._result(facts, forwards)
        if late:
            scale = self._scale(result.counts)[0]
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(scale)
        return result

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, float]]:
        context = (
            torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else contextlib.nullcontext()
        )
        with context:
            return self.module(batch)

    def _scale(self, counts: Tensor) -> Tensor:
        """weight / count, times the number of ranks because gradients are averaged over them; 0 without terms."""
        return torch.where(counts > 0, self.weights * world() / counts.clamp(min=1), 0.0)

    def _count(self, batches: list[Batch]) -> Tensor:
        states = running_statistics(self.module)
        with torch.no_grad():
            local = torch.stack([self._forward(batch)[1] for batch in batches]).sum(0)
        restore(states)
        return sum_over_ranks(local)

    def _result(self, facts: list[float], forwards: list[tuple[Tensor, Tensor, dict[str, float]]]) -> StepResult:
        size = len(self.weights)
        sums = torch.stack([sums for sums, _, _ in forwards])
        counts = torch.stack([counts for _, counts, _ in forwards])
        row = torch.cat(
            [sums.sum(0).double(), counts.sum(0).double(), torch.tensor(facts, device=self.device).double()]
        )
        row = sum_over_ranks(row)
        seconds, real, padded, stopped = row[2 * size :].tolist()
        names = {name for _, _, notes in forwards for name in notes}
        lists = {name: [notes[name] for _, _, notes in forwards if name in notes] for name in sorted(names)}
        return StepResult(
            sums=row[:size].float(),
            counts=row[size : 2 * size].float(),
            notes={name: sum(values) / len(values) for name, values in lists.items()},
            local_sums=sums.tolist(),
            seconds=seconds,
            steps_real=real,
            steps_padded=padded,
            stop=stopped > 0,
        )


def _facts(batches: list[Batch], stop: bool) -> list[float]:
    """Give seconds of audio, real and padded speech steps, and whether to stop (1 or 0)."""
    real = sum(int(batch.speech.lens.sum()) for batch in batches)
    padded = sum(batch.speech.data.shape[0] * batch.speech.data.shape[1] for batch in batches)
    return [sum(float(batch.seconds.sum()) for batch in batches), float(real), float(padded), float(stop)]


def running_statistics(module: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Copy what a forward pass in training changes besides gradients: the running statistics of batch norms."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._NormBase) and m.training]
    return [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]


def restore(states: list[tuple[Tensor, Tensor]]) -> None:
    """Set the running statistics back."""
    for buffer, value in states:
        buffer.copy_(value)
