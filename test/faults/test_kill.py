"""A training that is killed at any moment and started again ends with the same bits as one that was left alone."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.training.optim import OptimOptions
from test.faults.kill import check_kills, facts, run
from test.training.toy import Toy


def test_four_kills(tmp_path: Path) -> None:
    one, other = check_kills(tmp_path, world=1, kills=4, steps=24, seed=1)
    assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2])
def test_twenty_kills(tmp_path: Path, world: int, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = check_kills(tmp_path, world, kills=20, steps=100, seed=2)
    with capsys.disabled():
        print(f"\n{world} rank(s), 20 kills: left alone {one}, killed {other}")
    assert one == other


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_stop_saves_and_goes_on(tmp_path: Path, number: int) -> None:
    level = OptimOptions(lr=0.05, schedule="constant", steps=400)
    toy = replace(Toy(tmp_path / "stopped").but(valid_every=400, save_every=0), optim=level)
    result = run(toy, ask=number)
    assert result is not None and not result.finished and 0 < result.step < 400
    assert (toy.folder / "checkpoints" / f"step-{result.step}" / "complete.json").exists()
    assert not (toy.folder / "model.safetensors").exists()
    for folder in (toy.folder, tmp_path / "alone"):
        # The rate is level, so a training that ends a little later begins with the same steps.
        run(replace(toy, folder=folder, optim=replace(level, steps=result.step + 4)))
    stopped, alone = facts(toy.folder), facts(tmp_path / "alone")
    for name in stopped:
        assert stopped[name] == alone[name], name


def test_refuses_another_base_model(tmp_path: Path) -> None:
    toy = Toy(tmp_path / "exp", steps=4)
    toy.trainer(meta={"bases": {"llm": "aaa"}}).run()
    with pytest.raises(UserError, match="another 'bases'"):
        toy.trainer(meta={"bases": {"llm": "bbb"}}).run()
