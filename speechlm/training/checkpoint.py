"""Checkpoints that are whole or not there: written aside, hashed, renamed; a torn one is never picked."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open, sync
from speechlm.io.hashes import file_hash
from speechlm.io.weights import load_weights, save_weights

LOGGER = logging.getLogger(__name__)

WEIGHTS, OPTIMIZER, STATE, META = "trained.safetensors", "optimizer.pt", "state.json", "meta.json"
SEAL = "complete.json"
"""Written last: the sha256 of every other file. A folder without it, or that differs from it, is torn."""


@dataclass(frozen=True)
class Snapshot:
    """All that training needs to go on.

    weights: trained tensors by name. optimizer: name -> state. state: step, position, history: JSON values.
    meta: what the weights belong to (base models with hashes, prompt, tokens, manifest): JSON values.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The folder `exp/NAME/checkpoints`: step-N folders and the pointer files `latest` and `best`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int) -> Path:
        """Name the folder of a step."""
        return self.folder / f"step-{step}"

    def steps(self) -> list[int]:
        """List the steps that have a folder, in order (torn ones too)."""
        found = [name.name.removeprefix("step-") for name in self.folder.glob("step-*")]
        return sorted(int(step) for step in found if step.isdigit())

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Write the checkpoint of a step; until the last rename nothing of it is visible.

        Raises: UserError when it cannot be written (a full disk); older checkpoints stay, nothing half-written does.
        """
        final = self.path(step)
        aside = self.folder / f".step-{step}.tmp"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            _write(aside, snapshot)
            shutil.rmtree(final, ignore_errors=True)  # torn, or written before a resume from an older step
            os.replace(aside, final)
            sync(self.folder)
        except (OSError, RuntimeError, SafetensorError, UserError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            good = [f"step-{other}" for other in self.steps() if other != step]
            kept = f"{good[-1]} is kept" if good else "there is no older one"
            raise UserError(f"{final}: checkpoint cannot be written ({error}); {kept}; free some space") from error

    def point(self, name: str, step: int) -> None:
        """Let the pointer file `name` (latest, best) name the checkpoint of a step."""
        with atomic_open(self.folder / name) as file:
            file.write(f"step-{step}\n")

    def newest(self) -> int | None:
        """Give the last step whose checkpoint is whole and can be gone on from; torn ones are told and passed over."""
        for leftover in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        for step in reversed(self.steps()):
            fault = self.fault(step)
            if fault:
                LOGGER.warning("%s is passed over: %s", self.path(step), fault)
            elif (self.path(step) / OPTIMIZER).is_file():
                return step
        return None

    def fault(self, step: int) -> str | None:
        """Say what is wrong with a checkpoint, None if it is whole."""
        folder = self.path(step)
        try:
            seal = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return f"not complete (no readable {SEAL})"
        for name, expected in seal.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if file_hash(folder / name) != expected:
                return f"{name} is not what was written"
        return None

    def load(self, step: int) -> Snapshot:
        """Read a checkpoint."""
        folder = self.path(step)
        weights, _ = load_weights(folder / WEIGHTS)
        return Snapshot(
            weights=weights,
            optimizer=torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True),
            state=json.loads((folder / STATE).read_text(encoding="utf-8")),
            meta=json.loads((folder / META).read_text(encoding="utf-8")),
        )

    def prune(self, *, keep: int, best: list[int]) -> None:
        """Remove all but the last `keep` checkpoints; of the `best` ones keep the weights, for the average."""
        steps = self.steps()
        for step in steps[: max(0, len(steps) - keep)]:
            if step in best:
                self._strip(step)
            else:
                (self.path(step) / SEAL).unlink(missing_ok=True)  # first, so that half a folder is never whole
                shutil.rmtree(self.path(step), ignore_errors=True)

    def _strip(self, step: int) -> None:
        """Remove the optimizer's state, the larger part; the seal forgets it first."""
        folder = self.path(step)
        if not (folder / OPTIMIZER).is_file():
            return
        seal = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        seal.pop(OPTIMIZER, None)
        with atomic_open(folder / SEAL) as file:
            json.dump(seal, file, indent=1)
        (folder / OPTIMIZER).unlink()


def _write(folder: Path, snapshot: Snapshot) -> None:
    save_weights(folder / WEIGHTS, snapshot.weights, {"format": "pt"})
    with open(folder / OPTIMIZER, "wb") as file:
        torch.save(snapshot.optimizer, file)
    for name, values in ((STATE, snapshot.state), (META, snapshot.meta)):
        (folder / name).write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
    names = (WEIGHTS, OPTIMIZER, STATE, META)
    for name in names:
        sync(folder / name)
    seal = {name: file_hash(folder / name) for name in names}
    (folder / SEAL).write_text(json.dumps(seal, indent=1), encoding="utf-8")
    sync(folder / SEAL)
    sync(folder)
