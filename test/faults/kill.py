"""Trainings in processes of their own, to be killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechlm.training.checkpoint import Checkpoints
from speechlm.training.distributed import main_rank
from speechlm.training.trainer import TrainResult
from test.training.processes import free_port, start
from test.training.toy import Toy

TIMES = {"audio_per_second", "steps_per_second", "memory_gib"}


@dataclass(frozen=True)
class Kill:
    """SIGKILL to itself, `delay` seconds after a step began (in that step, in a later one, or while saving)."""

    step: int
    delay: float


def train(toy: Toy, ready: Path, kill: Kill | None) -> TrainResult:
    """Train; `ready` appears when training begins."""
    trainer = toy.trainer()
    if kill:
        step_of = trainer._step

        def step(number: int, *args: Any, **given: Any) -> Any:
            if number >= kill.step:
                threading.Timer(kill.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
            return step_of(number, *args, **given)

        trainer._step = step  # type: ignore[method-assign]
    if main_rank():
        ready.touch()
    return trainer.run()


def wait_for(path: Path, seconds: float = 60.0) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.001)


def run(toy: Toy, world: int = 1, *, kill: Kill | None = None, ask: int | None = None) -> TrainResult | None:
    """Train to the end, or be killed, or be asked by a signal to stop; None if it died."""
    ready = toy.folder.parent / f"ready-{random.random()}"
    port = free_port()
    ranks = [start(train, toy, ready, kill, rank=rank, world=world, port=port) for rank in range(world)]
    wait_for(ready)
    if ask:
        wait_for(toy.folder / "metrics.jsonl")
        for process, _ in ranks:
            assert process.pid
            os.kill(process.pid, ask)
    results: list[Any] = []
    for process, connection in ranks:
        process.join(120)
        assert not process.is_alive(), "a rank hangs"
        try:
            results.append(connection.recv() if connection.poll() else None)
        except EOFError:
            results.append(None)
    if isinstance(results[0], Exception) and not kill:
        raise results[0]
    return results[0] if isinstance(results[0], TrainResult) else None


def facts(folder: Path) -> dict[str, Any]:
    """Everything a training leaves that must be the same, bit by bit."""
    checkpoints = Checkpoints(folder / "checkpoints")
    newest = checkpoints.newest()
    assert newest is not None
    snapshot = checkpoints.load(newest)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "weights": {name: tensor.numpy().tobytes() for name, tensor in snapshot.weights.items()},
        "optimizer": {n: {k: v.numpy().tobytes() for k, v in s.items()} for n, s in snapshot.optimizer.items()},
        "state": snapshot.state,
        "metrics": [{name: value for name, value in row.items() if name not in TIMES} for row in rows],
    }


def check_kills(folder: Path, world: int, kills: int, steps: int, seed: int) -> list[str]:
    """Compare a training that is killed again and again with one that is left alone; give the hashes of both models."""
    left_alone = Toy(folder / "alone" / "exp", steps=steps)
    killed = Toy(folder / "killed" / "exp", steps=steps)
    if world > 1:
        left_alone, killed = left_alone.but(parallel="ddp"), killed.but(parallel="ddp")
    for toy in (left_alone, killed):
        toy.folder.parent.mkdir(parents=True)
    run(left_alone, world)
    dice = random.Random(seed)
    for turn in range(kills):
        at = dice.randint(1 + turn * (steps - 5) // kills, 1 + (turn + 1) * (steps - 5) // kills)
        assert run(killed, world, kill=Kill(at, dice.uniform(0, 0.02))) is None, "the kill came too late"
    result = run(killed, world)
    assert result is not None and result.finished
    one, other = facts(left_alone.folder), facts(killed.folder)
    for name in one:
        assert one[name] == other[name], name
    return [hashlib.sha256(model["model"]).hexdigest() for model in (one, other)]
