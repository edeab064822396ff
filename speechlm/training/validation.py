"""The losses of a validation set, as means over the whole set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from speechlm.core.batch import Batch
from speechlm.training.distributed import sum_over_ranks
from speechlm.training.step import LossModel


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation without gradients, and back to training."""
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train()


def valid_losses(
    module: LossModel, loader: Iterable[Batch], device: torch.device, precision: Literal["fp32", "bf16"]
) -> dict[str, float]:
    """Give {"loss": weighted sum, "loss_NAME": mean} over all batches of all ranks.

    The module must be in evaluation, see `evaluating`. Every rank must bring the same number of batches.
    """
    total = torch.zeros(2, len(module.terms), device=device, dtype=torch.float64)
    context = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    with context:
        for batch in loader:
            sums, counts, _ = module(batch.to(device))
            total += torch.stack([sums, counts])
    sums, counts = sum_over_ranks(total)
    means = (sums / counts.clamp(min=1)).tolist()
    each = {f"loss_{term.name}": mean for term, mean in zip(module.terms, means, strict=True)}
    return {"loss": sum(term.weight * mean for term, mean in zip(module.terms, means, strict=True)), **each}
