"""A training's state in `exp/NAME`: saved, gone on from, and turned into the final model."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.data.loader import Loader
from speechlm.io.files import atomic_open
from speechlm.io.weights import load_weights, save_weights
from speechlm.training.checkpoint import WEIGHTS, Checkpoints, Snapshot
from speechlm.training.distributed import from_main, main_rank, wait_for_all
from speechlm.training.faults import BadSteps
from speechlm.training.history import History
from speechlm.training.optim import Optimizer
from speechlm.training.options import TrainOptions
from speechlm.training.step import LossModel
from speechlm.training.weights import (
    LOSSES,
    all_tensors,
    average,
    collect,
    count_parameters,
    load_tensors,
    load_trained,
    trained_tensors,
)

LOGGER = logging.getLogger(__name__)

CARRIED = "carried.safetensors"
MODEL, CARD = "model.safetensors", "model.json"


class TrainingState:
    """Everything that a kill must not lose, and where it lies.

    meta: what the weights belong to (base models with content hashes, prompt, tokens); a checkpoint with another meta
    is refused.
    """

    def __init__(
        self,
        folder: Path,
        module: LossModel,
        optimizer: Optimizer,
        loader: Loader,
        history: History,
        bad: BadSteps,
        options: TrainOptions,
        meta: dict[str, Any],
    ) -> None:
        self.folder, self.module, self.optimizer, self.loader = folder, module, optimizer, loader
        self.history, self.bad, self.options = history, bad, options
        self.meta: dict[str, Any] = json.loads(json.dumps(meta))  # as it will come back from the file
        self.checkpoints = Checkpoints(folder / "checkpoints")

    def begin(self) -> int:
        """Go on from the newest whole checkpoint, else take over `start_from`; give the step that is done."""
        step = from_main(self.checkpoints.newest() if main_rank() else None)
        if step is None:
            self._start()
            return 0
        snapshot = self.checkpoints.load(step)
        self._check_meta(snapshot.meta, self.checkpoints.path(step))
        carried = self.checkpoints.folder / CARRIED
        if carried.is_file():
            load_tensors(self._places(all_tensors(self.module)), load_weights(carried)[0], carried, needed=[])
        self.load_weights(snapshot.weights, self.checkpoints.path(step))
        self.optimizer.load_state_dict(snapshot.optimizer)
        self.loader.load_state_dict(snapshot.state["position"])
        self.history.rows = snapshot.state["history"]
        self.bad.total, self.bad.in_a_row = snapshot.state["skipped"], snapshot.state["skipped_in_a_row"]
        LOGGER.info("going on from %s", self.checkpoints.path(step))
        return int(step)

    def load_weights(self, weights: dict[str, Tensor], path: Path) -> None:
        """Put trained weights into the model; all of them, and no other."""
        needed = self._places(trained_tensors(self.module))
        report = load_tensors(self._places(all_tensors(self.module)), weights, path, needed=needed)
        if report.missing or report.unexpected or report.reshaped:
            raise UserError(f"{report.line()}; train in another folder, or with the options of this one")

    def save(self, step: int, *, must: bool = False) -> None:
        """Write the checkpoint of a step and remove what is no longer kept.

        A disk that is full is told and training goes on with the older checkpoints, unless `must`.
        """
        weights = collect(self._places(trained_tensors(self.module)))
        snapshot = Snapshot(weights, self.optimizer.state_dict(), self._values(step), self._meta(weights))
        fault = from_main(self._write(step, snapshot) if main_rank() else None)
        if fault and must:
            raise UserError(fault)
        if fault:
            LOGGER.error("%s; training goes on", fault)

    def finish(self, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Write `model.safetensors`: the mean of the best checkpoints, or the best single one where that is better.

        validate: measures the model as it is. Gives its results for the final model.
        """
        wait_for_all()
        steps = self._best()
        if not steps:
            raise UserError(
                f"{self.checkpoints.folder}: no whole checkpoint to make the final model of; free some space"
            )
        metrics = self._take(steps, validate)
        single = steps[:1]
        if len(steps) > 1 and self.history.rows:
            value, alone = metrics[self.history.metric], self.history.value(single[0])
            if self.history.better(alone, than=value):
                LOGGER.info("the mean of steps %s gives %s %.4g, step %d alone %.4g: the latter is kept",
                            steps, self.history.metric, value, single[0], alone)  # fmt: skip
                steps, metrics = single, self._take(single, validate)
        if main_rank():
            self._write_model(steps, metrics)
        wait_for_all()
        return metrics

    def _take(self, steps: list[int], validate: Callable[[], dict[str, float]]) -> dict[str, float]:
        self.load_weights(average(self._files(steps)), self.checkpoints.folder)
        return validate()

    def _write_model(self, steps: list[int], metrics: dict[str, float]) -> None:
        weights = average(self._files(steps))
        carried = self.checkpoints.folder / CARRIED
        if carried.is_file():
            weights = {**load_weights(carried)[0], **weights}
        # What belongs to a loss (regression heads, projections) has no place in what decodes.
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(LOSSES)}
        save_weights(self.folder / MODEL, weights, {"format": "pt"})
        counts = count_parameters(self.module.model)
        with atomic_open(self.folder / CARD) as file:
            json.dump({**counts, "steps": steps, "metrics": metrics, **self.meta}, file, ensure_ascii=False, indent=1)
        LOGGER.info("%s: mean of steps %s; %d of %d parameters were trained",
                    self.folder / MODEL, steps, counts["trained"], counts["total"])  # fmt: skip

    def _files(self, steps: list[int]) -> list[Path]:
        return [self.checkpoints.path(step) / WEIGHTS for step in steps]

    def _best(self) -> list[int]:
        """Give the steps whose mean becomes the model, best first: those that are there and whole."""
        found = from_main(
            [s for s in self.checkpoints.steps() if not self.checkpoints.fault(s)] if main_rank() else None
        )
        if self.history.rows:
            return [step for step in self.history.best(len(self.history.rows)) if step in found][: self.options.average]
        return list(reversed(found))[: self.options.average]

    def _start(self) -> None:
        """Take over finished experiments; what they bring into frozen parts is kept beside the checkpoints."""
        brought: set[str] = set()
        unmet = set(self.options.start_names)
        for path in self.options.start_from:
            report = load_trained(
                self.module.model,
                path,
                strict=False,
                only_prefixes=self.options.start_parts,
                renamed=self.options.start_names,
            )
            LOGGER.info("start_from: %s", report.line())
            brought.update(report.loaded)
            unmet.difference_update(report.renamed)
        if unmet:
            places = ", ".join(map(str, self.options.start_from)) or "train.start_from, which is empty"
            raise UserError(f"train.start_names: {', '.join(sorted(unmet))}: no such name in {places}")
        trained = trained_tensors(self.module.model)
        frozen = {
            name: tensor for name, tensor in all_tensors(self.module.model).items() if name in brought - set(trained)
        }
        weights = collect(frozen)
        if weights:
            save_weights(self.checkpoints.folder / CARRIED, weights, {"format": "pt"})

    def _write(self, step: int, snapshot: Snapshot) -> str | None:
        try:
            self.checkpoints.save(step, snapshot)
            self.checkpoints.point("latest", step)
            best = self.history.best(max(1, self.options.average))
            if best[:1] == [step]:
                self.checkpoints.point("best", step)
            keep = self.options.keep if best else max(self.options.keep, self.options.average)
            self.checkpoints.prune(keep=max(1, keep), best=best)
        except UserError as error:
            return str(error)
        return None

    def _values(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "position": self.loader.state_dict(),
            "history": self.history.rows,
            "skipped": self.bad.total,
            "skipped_in_a_row": self.bad.in_a_row,
        }

    def _meta(self, weights: dict[str, Tensor]) -> dict[str, Any]:
        manifest = {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in weights.items()}
        return {**self.meta, "parameters": manifest}

    def _check_meta(self, stored: dict[str, Any], path: Path) -> None:
        for name in sorted({*stored, *self.meta} - {"parameters"}):
            before, now = stored.get(name), self.meta.get(name)
            if before != now:
                raise UserError(
                    f"{path}: was trained with another '{name}': {before!r}, now it is {now!r}; "
                    f"train in another folder, or put the old one back"
                )

    def _places(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Name tensors as the model alone names them; what belongs to a loss keeps `losses.` in front."""
        return {name if name.startswith(LOSSES) else name.removeprefix("model."): t for name, t in tensors.items()}
