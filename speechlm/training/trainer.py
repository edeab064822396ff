"""The training loop: steps, validations, checkpoints. Decoding and scoring are not known here; they come from above."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.data.loader import Loader
from speechlm.training.distributed import choose_device, from_main, main_rank, rank, wait_for_all
from speechlm.training.faults import BadSteps, describe, memory_explained
from speechlm.training.history import History
from speechlm.training.monitor import GIB, Monitor, memory_peak
from speechlm.training.optim import Optimizer, OptimOptions
from speechlm.training.options import TrainOptions
from speechlm.training.parallel import recompute_activations, spread, whole_outside_layers
from speechlm.training.seeds import seed_all
from speechlm.training.signals import StopSignals
from speechlm.training.state import TrainingState
from speechlm.training.step import Accumulator, LossModel, LossTerm, StepResult, restore, running_statistics
from speechlm.training.validation import evaluating, valid_losses
from speechlm.training.watchdog import Watchdog
from speechlm.training.weights import some

LOGGER = logging.getLogger(__name__)

Validate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class TrainResult:
    """finished: False when training was asked to stop and has saved; then exit with `signals.REQUEUE_EXIT`.

    step: the last step that was done. metrics: of the final model (empty when not finished).
    """

    finished: bool
    step: int
    metrics: dict[str, float]


class Trainer:
    """Trains what requires a gradient in `model`, in the folder `exp/NAME`; started again, it goes on where it was.

    On the CPU, an interrupted training ends with the same weights, bit by bit, as one that was left alone: the
    optimizer, the position in the data and the history are in every checkpoint, and random numbers follow from (seed,
    step, rank).

    Under torchrun every process makes its own Trainer, with loaders of its own rank, inside of
    `distributed.process_group`.
    """

    def __init__(
        self,
        model: nn.Module,
        losses: Sequence[LossTerm],
        *,
        folder: Path,
        train: Loader,
        valid: Loader | None = None,
        optim: OptimOptions | None = None,
        options: TrainOptions | None = None,
        validate: Validate | None = None,
        plot: Callable[[Path], None] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> None:
        """Move the model to its device and make ready; nothing is written yet.

        valid: its losses are validated as "loss" and "loss_NAME". validate: model -> further results, such as an error
            rate; called on every rank, the first one's result counts.
        plot: draws curves of the metrics.jsonl it is given.
        meta: what the weights belong to, as JSON values; see `TrainingState`.
        """
        self.options, self.optim = options or TrainOptions(), optim or OptimOptions()
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        self.device = choose_device(self.options.device)
        self.folder, self.train, self.valid = folder, train, valid
        self.validate, self.plot = validate, plot
        self.loss_model = LossModel(model, losses).to(self.device)
        self.module = self._ready(self.loss_model)
        self.parameters = {name: p for name, p in self.loss_model.named_parameters() if p.requires_grad}
        plain = {name.removeprefix("model."): p for name, p in self.parameters.items()}
        self.optimizer = Optimizer(plain, self.optim)
        self.accumulator = Accumulator(self.module, losses, self.device, self.options.precision)
        self.history = History(self.options.metric, self.options.larger_is_better, [])
        self.bad = BadSteps(folder / "bad_steps", self.options.max_bad_steps)
        self.watchdog = Watchdog(folder / "stalls", 60 * self.options.stall_minutes)
        self.names = [term.name for term in losses]
        self.monitor = Monitor(
            folder, self.names, [term.weight for term in losses],
            steps=self.optim.steps, tensorboard=self.options.tensorboard, active=main_rank(),
        )  # fmt: skip
        self.state = TrainingState(
            folder, self.loss_model, self.optimizer, train, self.history, self.bad, self.options, meta or {}
        )

    def run(self) -> TrainResult:
        """Train to the last step (or until it gets no better) and write the final model, or stop when asked to.

        Raises: UserError when there is too little memory, too many bad steps, unreadable data, or no place to save.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with StopSignals() as signals, self.watchdog:
            step = self.state.begin()
            self.loss_model.train()
            if self.options.trial and step < self.optim.steps:
                self._trial()
            self.monitor.start(step)
            try:
                step, finished = self._steps(step, signals)
                metrics = self.state.finish(self._measure) if finished else {}
                if metrics:
                    self.monitor.final(step, metrics)
            finally:
                self.monitor.close()
        return TrainResult(finished, step, metrics)

    def _ready(self, module: LossModel) -> nn.Module:
        if not any(p.requires_grad for p in module.parameters()):
            raise UserError("nothing to train: every part is frozen; set 'adapt' of a part to lora or full")
        if self.options.recompute and not recompute_activations(module):
            raise UserError("train.recompute: this model has no repeated layers; set it to false")
        return spread(module, self.options.parallel, self.device, self.options.precision)

    def _steps(self, step: int, signals: StopSignals) -> tuple[int, bool]:
        batches = self.train.endless()
        while step < self.optim.steps and not self._patience_is_over():
            step += 1
            result = self._step(step, batches, stop=signals.asked)
            last = step == self.optim.steps
            if step % self.options.log_every == 0 or last:
                self.monitor.tell(step, self.train.epoch, self.optimizer.lr(step), self.bad.total)
            validated = step % self.options.valid_every == 0 or last
            if validated:
                self._validated(step)
            if result.stop and not last:
                self.state.save(step, must=True)
                LOGGER.warning("stopped at step %d as asked; the same command goes on from here", step)
                return step, False
            if validated or (self.options.save_every and step % self.options.save_every == 0):
                self.state.save(step, must=last)
            if validated and self.plot and main_rank():
                self.plot(self.monitor.path)
        return step, True

    def _step(self, step: int, batches: Iterator[Batch], *, stop: bool) -> StepResult:
        """Move the weights by the next batches, unless loss or gradient is not finite (on any rank)."""
        chosen = [next(batches) for _ in range(self.options.accumulate)]
        self.watchdog.beat(f"in step {step}", chosen)
        seed_all(self.options.seed, step, rank())
        before = running_statistics(self.loss_model)
        with memory_explained(chosen):
            result = self.accumulator.run(chosen, list(self.parameters.values()), stop=stop)
            norm = self.optimizer.norm()
            size = float(norm)
            finite = math.isfinite(size) and bool(torch.isfinite(result.sums).all())
            if finite:
                self.optimizer.step(step, norm)
        if finite:
            self.bad.good()
        else:
            self.optimizer.zero_grad()
            restore(before)
            self.bad.bad(step, chosen, result, self.names, size)
        self.monitor.add(result if finite else None, size)
        return result

    def _validated(self, step: int) -> None:
        metrics = self._measure()
        if metrics:
            self.monitor.validated(step, metrics, self.history.add(step, metrics))

    def _measure(self) -> dict[str, float]:
        """Validate the model as it is; the first rank's result counts on all."""
        metrics: dict[str, float] = {}
        self.watchdog.beat("in a validation", [])
        with whole_outside_layers(self.loss_model), evaluating(self.loss_model):
            if self.valid is not None:
                metrics.update(valid_losses(self.loss_model, self.valid, self.device, self.options.precision))
            if self.validate is not None:
                metrics.update(self.validate(self.loss_model.model))
        wait_for_all()
        return from_main(metrics)

    def _patience_is_over(self) -> bool:
        if not self.options.patience or self.history.waiting() < self.options.patience:
            return False
        LOGGER.info("no better %s for %d validations: training stops", self.options.metric, self.options.patience)
        return True

    def _trial(self) -> None:
        """Run the largest batch forward and backward, so that too little memory shows now and not after hours."""
        batch = self.train.largest()
        before = running_statistics(self.loss_model)
        with memory_explained([batch]):
            self.accumulator.run([batch], [])
        unreached = self.optimizer.unreached()
        if unreached:
            LOGGER.warning("%d trained parameters got no gradient from this batch: %s", len(unreached), some(unreached))
        self.optimizer.zero_grad()
        restore(before)
        LOGGER.info("trial of %s: %.2f GiB at the most", describe(batch), memory_peak() / GIB)
