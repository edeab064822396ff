"""What a person sees of a training: log lines or a bar, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
import logging
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from speechlm.core.log import clock
from speechlm.io.files import atomic_open
from speechlm.training.step import StepResult

LOGGER = logging.getLogger(__name__)

GIB = 1 << 30


class Monitor:
    """Sums up the steps between two log lines and tells them.

    A metrics.jsonl row of training holds step, epoch, loss (weighted sum), each loss by name, lr, gradient_norm,
    audio_per_second (seconds of audio per second), steps_per_second, padding (share of the speech steps, 0 to 1),
    memory_gib (peak), skipped (bad steps so far) and the model's notes; a row of kind valid holds what was validated,
    the one of kind final the same of the final model.

    names, weights: of the losses. steps: of the whole training. active: False on all ranks but the first.
    """

    def __init__(
        self, folder: Path, names: list[str], weights: list[float], *, steps: int, tensorboard: bool, active: bool
    ) -> None:
        self.path = folder / "metrics.jsonl"
        self.names, self.weights, self.steps, self.active = names, weights, steps, active
        self.folder = folder
        self.tensorboard = tensorboard and active
        self.writer: SummaryWriter | None = None
        self.bar: tqdm[Any] | None = None
        self._forget()

    def start(self, step: int) -> None:
        """Begin at a step; rows beyond it, of a training that was killed, are taken out."""
        self.first, self.begun = step, time.monotonic()
        self._forget()
        if not self.active:
            return
        self._cut_back(step)
        if self.tensorboard:
            self.writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)
        if sys.stderr.isatty():
            self.bar = tqdm(total=self.steps, initial=step, desc="training", unit="step", dynamic_ncols=True)

    def close(self) -> None:
        """Write out what is left."""
        if self.writer:
            self.writer.close()
        if self.bar:
            self.bar.close()

    def add(self, result: StepResult | None, norm: float) -> None:
        """Take in one step; None for one that was skipped."""
        if result is not None:
            self.results.append(result)
            self.norms.append(norm)
        if self.bar:
            self.bar.update()

    def tell(self, step: int, epoch: int, lr: float, skipped: int) -> None:
        """Write the line of the steps since the last one."""
        if not self.results:
            self._write("train", {"step": step, "epoch": epoch, "lr": lr, "skipped": skipped})
            return  # every step since the last line was skipped, and said so
        row = {"step": step, "epoch": epoch, **self._summary(), "lr": lr, "skipped": skipped}
        self._forget()
        self._write("train", row)
        each = " ".join(f"{name} {row['loss_' + name]:.4g}" for name in self.names)
        text = (
            f"loss {row['loss']:.4g} [{each}] lr {lr:.3g} gradient {row['gradient_norm']:.3g} "
            f"audio {row['audio_per_second']:.0f} s/s padding {row['padding']:.1%} memory {row['memory_gib']:.2f} GiB"
        )
        if self.bar:
            self.bar.set_postfix_str(f"loss {row['loss']:.4g}")
        elif self.active:
            left = (self.steps - step) * (time.monotonic() - self.begun) / max(1, step - self.first)
            bad = f" skipped {skipped}" if skipped else ""
            LOGGER.info("step %d/%d (epoch %d) %s%s, %s left", step, self.steps, epoch, text, bad, clock(left))

    def validated(self, step: int, metrics: dict[str, float], best: bool) -> None:
        """Write a validation's results."""
        self._write("valid", {"step": step, **metrics})
        if self.active:
            text = " ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            tell: Callable[[str], None] = self.bar.write if self.bar else LOGGER.info
            tell(f"step {step}/{self.steps} validation: {text}{' (best so far)' if best else ''}")

    def final(self, step: int, metrics: dict[str, float]) -> None:
        """Write the final model's results."""
        self._write("final", {"step": step, **metrics})
        if self.active:
            LOGGER.info("final model: %s", " ".join(f"{name} {value:.4g}" for name, value in metrics.items()))

    def _summary(self) -> dict[str, float]:
        results, spent = self.results, max(1e-9, time.monotonic() - self.since)
        sums = torch.stack([r.sums for r in results]).double().sum(0)
        counts = torch.stack([r.counts for r in results]).double().sum(0)
        means = (sums / counts.clamp(min=1)).tolist()
        real, padded = sum(r.steps_real for r in results), sum(r.steps_padded for r in results)
        notes = {name for r in results for name in r.notes}
        return {
            "loss": sum(weight * mean for weight, mean in zip(self.weights, means, strict=True)),
            **{f"loss_{name}": mean for name, mean in zip(self.names, means, strict=True)},
            "gradient_norm": _mean(self.norms),
            "audio_per_second": sum(r.seconds for r in results) / spent,
            "steps_per_second": len(results) / spent,
            "padding": 1 - real / padded if padded else 0.0,
            "memory_gib": memory_peak() / GIB,
            **{name: _mean([r.notes[name] for r in results if name in r.notes]) for name in sorted(notes)},
        }

    def _forget(self) -> None:
        self.results: list[StepResult] = []
        self.norms: list[float] = []
        self.since = time.monotonic()

    def _write(self, kind: str, row: dict[str, Any]) -> None:
        if not self.active:
            return
        plain = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **plain}, ensure_ascii=False) + "\n")
        if self.writer:
            for name, value in plain.items():
                if name != "step" and value is not None:
                    self.writer.add_scalar(f"{kind}/{name}", value, row["step"])

    def _cut_back(self, step: int) -> None:
        if not self.path.exists():
            return
        rows = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                if row["step"] <= step and row["kind"] != "final":  # the final model is made again
                    rows.append(line + "\n")
            except ValueError:
                LOGGER.warning("%s: a row cut off by a kill is taken out", self.path)
        with atomic_open(self.path) as file:
            file.writelines(rows)


def memory_peak() -> int:
    """Give the highest number of bytes used so far: of the GPU, or of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
