"""Checkpoints: whole or passed over, whatever happens while they are written."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from speechlm.core.errors import UserError
from speechlm.training.checkpoint import META, OPTIMIZER, SEAL, STATE, WEIGHTS, Checkpoints, Snapshot


def snapshot(step: int, size: int = 10) -> Snapshot:
    weights = {"a": torch.full((size,), float(step)), "b": torch.tensor(step)}
    optimizer = {"a": {"step": torch.tensor(float(step)), "exp_avg": torch.arange(size).float()}}
    return Snapshot(weights, optimizer, {"step": step, "history": [{"step": step, "loss": 0.1}]}, {"bases": {"x": "y"}})


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (2, 4, 10):
        checkpoints.save(step, snapshot(step))
    return checkpoints


def test_comes_back_whole(kept: Checkpoints) -> None:
    back = kept.load(10)
    for name, tensor in snapshot(10).weights.items():
        assert torch.equal(back.weights[name], tensor) and back.weights[name].dtype == tensor.dtype
    assert torch.equal(back.optimizer["a"]["exp_avg"], torch.arange(10).float())
    assert back.state == snapshot(10).state and back.meta == snapshot(10).meta
    assert kept.steps() == [2, 4, 10] and kept.newest() == 10


@pytest.mark.parametrize("name", [WEIGHTS, OPTIMIZER, STATE, META, SEAL])
@pytest.mark.parametrize("harm", ["cut", "gone", "changed"])
def test_a_torn_one_is_passed_over(kept: Checkpoints, name: str, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    path = kept.path(10) / name
    content = bytearray(path.read_bytes())
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert kept.newest() == 4
    assert "step-10 is passed over" in caplog.text


def test_a_folder_left_aside_is_not_picked_but_removed(kept: Checkpoints) -> None:
    aside = kept.folder / ".step-12.tmp"
    kept.path(10).rename(aside)
    assert kept.newest() == 4 and not aside.exists()


def test_nothing_there(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").newest() is None


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to write beyond `size` bytes of a file, as a full disk refuses."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [100, 20_000])
def test_a_disk_that_is_full_keeps_the_last_good_one(kept: Checkpoints, size: int) -> None:
    """The weights fail (100 bytes), or the optimizer's state, which is larger."""
    large = snapshot(12, 4000)
    large.optimizer["a"]["exp_avg_sq"] = torch.zeros(4000)
    with files_at_most(size), pytest.raises(UserError, match=r"step-12: checkpoint cannot be written.*step-10 is kept"):
        kept.save(12, large)
    assert kept.newest() == 10 and not kept.path(12).exists()
    assert not list(kept.folder.glob(".step-*"))
    kept.save(12, large)
    assert kept.newest() == 12


def test_saving_a_step_again_replaces_it(kept: Checkpoints) -> None:
    (kept.path(4) / STATE).write_text("torn")
    kept.save(4, snapshot(5))
    assert kept.fault(4) is None and kept.load(4).state["step"] == 5


def test_prune_keeps_the_last_and_the_weights_of_the_best(kept: Checkpoints) -> None:
    kept.save(12, snapshot(12))
    kept.prune(keep=2, best=[2])
    assert kept.steps() == [2, 10, 12]
    assert not (kept.path(2) / OPTIMIZER).exists() and kept.fault(2) is None
    for step in (10, 12):
        (kept.path(step) / SEAL).unlink()
    assert kept.newest() is None, "weights alone are not enough to go on from"


def test_pointers(kept: Checkpoints) -> None:
    kept.point("latest", 10)
    assert (kept.folder / "latest").read_text() == "step-10\n"
    assert json.loads((kept.path(10) / SEAL).read_text()).keys() == {WEIGHTS, OPTIMIZER, STATE, META}
