"""Steps that go wrong: not finite, too little memory, no room on the disk, data that cannot be read."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from speechlm.core.batch import Batch, Output
from speechlm.core.errors import UserError
from speechlm.io.weights import load_weights
from speechlm.training.checkpoint import Checkpoints, Snapshot
from speechlm.training.step import LossTerm
from test.training.toy import RowLoss, Toy, ToySet


class Poison(RowLoss):
    """A loss that is not finite whenever one utterance is in the batch."""

    def __init__(self, value: float, utt: str = "u005") -> None:
        self.value, self.utt = value, utt

    def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        total, count = super().__call__(output, batch)
        return (total * self.value if self.utt in batch.ids else total), count


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_skipped_and_written_down(tmp_path: Path, value: float) -> None:
    trainer = Toy(tmp_path, steps=20).but(average=1).trainer(terms=[LossTerm("row", 1.0, Poison(value))])
    trainer.valid = None
    trainer.run()
    written = sorted((tmp_path / "bad_steps").iterdir())
    assert 2 <= len(written) <= 5 and trainer.bad.total == len(written) and trainer.bad.in_a_row <= 1
    record = json.loads(written[0].read_text())
    assert "u005" in [utt["id"] for utt in record["batches"][0]["utterances"]]
    assert record["batches"][0]["losses"]["row"] in ("nan", "inf")
    weights = load_weights(tmp_path / "model.safetensors")[0]
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    state = Checkpoints(tmp_path / "checkpoints").load(20).state
    assert state["skipped"] == len(written)


def test_batch_norm_is_not_spoilt_by_a_skipped_step(tmp_path: Path) -> None:
    class Rotten(ToySet):
        def read(self, index: int, epoch: int) -> Any:
            example = super().read(index, epoch)
            if example.id == "u005":
                example.speech[:] = float("nan")
            return example

    trainer = Toy(tmp_path, steps=12).trainer(data=Rotten())
    trainer.valid = None
    trainer.run()
    assert trainer.bad.total >= 1
    assert torch.isfinite(trainer.loss_model.model.norm.running_mean).all()


def test_too_many_in_a_row_stop(tmp_path: Path) -> None:
    class Always(RowLoss):
        def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
            total, count = super().__call__(output, batch)
            return total * float("nan"), count

    trainer = Toy(tmp_path, steps=20).but(max_bad_steps=3).trainer(terms=[LossTerm("row", 1.0, Always())])
    with pytest.raises(UserError, match=r"3 steps in a row were not finite, the last is 3; lower optim\.lr"):
        trainer.run()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
@pytest.mark.parametrize("trial", [True, False])
def test_out_of_memory_names_the_batch(tmp_path: Path, error: Exception, trial: bool) -> None:
    class Greedy(RowLoss):
        def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
            raise error

    trainer = Toy(tmp_path).but(trial=trial).trainer(terms=[LossTerm("row", 1.0, Greedy())])
    with pytest.raises(UserError, match=r"out of memory with a batch of \d+ utterances.*\(u\d+.*data\.batch_seconds"):
        trainer.run()


def test_another_error_keeps_its_trace(tmp_path: Path) -> None:
    class Wrong(RowLoss):
        def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        Toy(tmp_path).trainer(terms=[LossTerm("row", 1.0, Wrong())]).run()


def test_a_full_disk_is_told_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save, failed = Checkpoints.save, []

    def full(self: Checkpoints, step: int, snapshot: Snapshot) -> None:
        if 6 <= step <= 8:
            failed.append(step)
            raise UserError(f"step-{step}: checkpoint cannot be written (no space); step-4 is kept; free some space")
        save(self, step, snapshot)

    monkeypatch.setattr(Checkpoints, "save", full)
    assert Toy(tmp_path, steps=12).trainer().run().finished
    assert failed == [6, 8] and "step-4 is kept" in caplog.text and "training goes on" in caplog.text


def test_a_full_disk_at_the_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Checkpoints, step: int, snapshot: Snapshot) -> None:
        raise UserError("checkpoint cannot be written")

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(UserError, match="cannot be written"):
        Toy(tmp_path, steps=4).trainer().run()


def test_one_unreadable_utterance_does_not_stop_a_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = ToySet(40)
    data.broken = {"u011"}
    with caplog.at_level(logging.WARNING):
        assert Toy(tmp_path, steps=20).trainer(data=data).run().finished
    assert "u011 cannot be read" in caplog.text
