"""When a step goes wrong: what is not finite is skipped, counted and written down; too little memory is explained."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import OutOfMemoryError

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.training.distributed import rank
from speechlm.training.step import StepResult

LOGGER = logging.getLogger(__name__)

SHOWN = 8


class BadSteps:
    """Counts steps whose loss or gradient is not finite, keeps their utterances, and stops after too many in a row.

    total, in_a_row: restored with a checkpoint. folder: one JSON file for each such step and rank.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.total = self.in_a_row = 0

    def good(self) -> None:
        """A step was finite."""
        self.in_a_row = 0

    def bad(self, step: int, batches: list[Batch], result: StepResult, names: list[str], norm: float) -> None:
        """A step was skipped.

        Raises: UserError after `limit` such steps in a row.
        """
        self.total += 1
        self.in_a_row += 1
        path = self.folder / f"step-{step}.rank-{rank()}.json"
        with atomic_open(path) as file:
            json.dump(self._record(step, batches, result, names, norm), file, ensure_ascii=False, indent=1)
        LOGGER.warning(
            "step %d skipped: loss or gradient is not finite (%d so far); its utterances: %s", step, self.total, path
        )
        if self.in_a_row >= self.limit:
            raise UserError(
                f"{self.in_a_row} steps in a row were not finite, the last is {step}; lower optim.lr, set optim.clip, "
                f"use precision bf16 or fp32, and look at the utterances in {self.folder}"
            )

    def _record(
        self, step: int, batches: list[Batch], result: StepResult, names: list[str], norm: float
    ) -> dict[str, object]:
        return {
            "step": step,
            "gradient_norm": str(norm),
            "batches": [
                {
                    "losses": {name: str(value) for name, value in zip(names, sums, strict=True)},
                    "utterances": [
                        {"id": utt, "seconds": round(seconds, 3), "text": text}
                        for utt, seconds, text in zip(batch.ids, batch.seconds.tolist(), batch.texts, strict=True)
                    ],
                }
                for batch, sums in zip(batches, result.local_sums, strict=True)
            ],
        }


@contextmanager
def memory_explained(batches: list[Batch]) -> Iterator[None]:
    """Turn "out of memory" into a UserError that names the batch and what to change."""
    try:
        yield
    except (OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not (isinstance(error, OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)):
            raise
        told = "; ".join(describe(batch) for batch in batches)
        raise UserError(
            f"out of memory with {told}; lower data.batch_seconds or data.max_seconds, or set train.recompute: true"
        ) from error


def describe(batch: Batch) -> str:
    """Say how large a batch is and who is in it."""
    names = ", ".join(batch.ids[:SHOWN]) + (" …" if len(batch) > SHOWN else "")
    rows, steps = batch.speech.data.shape[:2]
    longest = float(batch.seconds.max())
    return f"a batch of {rows} utterances, padded to {steps} steps, the longest {longest:.1f} s ({names})"
