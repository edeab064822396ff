"""What is told of a training: means over the steps since the last line, and no row twice."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from speechlm.training.monitor import Monitor, memory_peak
from speechlm.training.step import StepResult


def result(sums: list[float], counts: list[float], note: float) -> StepResult:
    return StepResult(torch.tensor(sums), torch.tensor(counts), {"kept": note}, [sums], 3.0, 80.0, 100.0, False)


def monitor(folder: Path, active: bool = True, tensorboard: bool = False) -> Monitor:
    return Monitor(folder, ["lm", "ctc"], [1.0, 0.5], steps=10, tensorboard=tensorboard, active=active)


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_means_weigh_steps_by_their_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = monitor(tmp_path)
    told.start(0)
    with caplog.at_level(logging.INFO):
        told.add(result([8.0, 2.0], [4.0, 1.0], 0.2), 1.0)
        told.add(result([1.0, 2.0], [1.0, 1.0], 0.4), 3.0)
        told.tell(2, 0, 0.1, 0)
        told.add(result([5.0, 0.0], [1.0, 0.0], 0.4), 3.0)
        told.tell(3, 1, 0.1, 2)
    first, second = rows(tmp_path)
    assert first["loss_lm"] == pytest.approx(9 / 5) and first["loss_ctc"] == pytest.approx(2.0)
    assert first["loss"] == pytest.approx(9 / 5 + 1.0)
    assert (
        first["gradient_norm"] == 2.0 and first["padding"] == pytest.approx(0.2) and first["kept"] == pytest.approx(0.3)
    )
    assert first["audio_per_second"] > 0 and first["memory_gib"] > 0 and first["kind"] == "train"
    assert second["loss_lm"] == 5.0 and second["epoch"] == 1 and second["skipped"] == 2
    for piece in ("step 2/10 (epoch 0) loss 2.8", "lm 1.8", "lr 0.1", "padding 20.0%", "left", "skipped 2"):
        assert piece in caplog.text


def test_steps_that_were_all_skipped(tmp_path: Path) -> None:
    told = monitor(tmp_path)
    told.start(0)
    told.add(None, float("nan"))
    told.tell(1, 0, 0.1, 1)
    assert rows(tmp_path) == [{"kind": "train", "step": 1, "epoch": 0, "lr": 0.1, "skipped": 1}]


def test_going_on_takes_out_later_and_torn_rows(tmp_path: Path) -> None:
    told = monitor(tmp_path)
    told.start(0)
    for step in (2, 4, 6):
        told.validated(step, {"loss": float(step)}, best=False)
    told.final(4, {"loss": float("inf")})
    assert rows(tmp_path)[-1] == {"kind": "final", "step": 4, "loss": None}, "JSON has no infinity"
    with open(told.path, "a") as file:
        file.write('{"kind": "valid", "st')
    monitor(tmp_path).start(4)
    assert [row["step"] for row in rows(tmp_path)] == [2, 4]


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    told = monitor(tmp_path, active=False, tensorboard=True)
    told.start(0)
    told.add(result([1.0, 1.0], [1.0, 1.0], 0.0), 1.0)
    told.tell(1, 0, 0.1, 0)
    told.validated(1, {"loss": 1.0}, best=True)
    told.final(1, {"loss": 1.0})
    told.close()
    assert not list(tmp_path.iterdir())


def test_curves_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = monitor(tmp_path, tensorboard=True)
    told.start(0)
    told.validated(2, {"loss": 0.5}, best=True)
    told.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("valid/loss")] == [(2, 0.5)]


def test_memory_peak_is_this_process() -> None:
    assert 1 << 20 < memory_peak() < 1 << 40
