"""Run a sweep's points with the recipe's own steps: train, decode, score; what is finished is left alone."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from speechlm.bin.sweep_plan import Plan, Point
from speechlm.io.files import atomic_open

LOGGER = logging.getLogger(__name__)
STATE = "sweep.json"
GRACE = 30.0
"""Seconds between the request to stop and the kill: a training ends its step and saves."""


@dataclass(frozen=True)
class Means:
    """What points are run with. cmd: of an array job, "" for one after another here. nj: points, or jobs of a decoding."""

    cmd: str = ""
    nj: int = 1
    ngpu: int = 0
    decode_nj: int = 1


@dataclass(frozen=True)
class State:
    """How a point stands: finished, failed, running (elsewhere), waits (for a point that failed) or open.

    step, log: where it failed.
    """

    name: str
    step: str = ""
    log: str = ""


def state_of(point: Point) -> State:
    """Read how a point stands; one that was finished with other options is open again."""
    path = point.folder / STATE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return State("open")
    if found.get("made_with") != point.digest:
        return State("open")
    if found["state"] == "finished" and not all((folder / "scoring.json").exists() for folder in decode_folders(point)):
        return State("open")
    return State(found["state"], found.get("step", ""), found.get("log", ""))


def decode_folders(point: Point) -> list[Path]:
    """Name the decode folders of a point, in the order of its sets."""
    return [point.folder / f"decode_{Path(data).name}" for data in point.sets]


def commands(point: Point, means: Means) -> Iterator[tuple[str, str, list[str]]]:
    """Give each step of a point: its name, the log that tells of a failure ("" for sweep.log), its command."""
    speechlm = [sys.executable, "-m", "speechlm.bin.main"]
    exp, gpus = str(point.folder), ["--ngpu", str(means.ngpu)]
    yield "train", f"{exp}/log/train.log", ["steps/train.sh", "--cmd", "run.pl", *gpus, point.conf, exp, *point.overrides]
    if point.export:
        yield "export", "", [*speechlm, "export", exp, "--llm", f"{exp}/llm"]
    if point.sets:
        jobs = ["--nj", str(means.decode_nj)]
        place = f"{exp}/log" if len(point.sets) > 1 else f"{decode_folders(point)[0]}/log"
        yield "decode", f"{place}/decode.1.log", ["steps/decode.sh", "--cmd", "run.pl", *jobs, *gpus, exp, *point.sets]
        alike = ["--unit", point.unit, "--language", point.language, "--results", "", "--page", "false"]
        yield "score", "", ["steps/score.sh", *alike, str(Path(point.sets[0]).parent), exp]


def run_point(point: Point, means: Means) -> State:
    """Run one point to its end, and write down how it ended; one that is run elsewhere is left to it."""
    log = point.folder / "log" / "sweep.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(point.folder / ".lock", "w") as lock, open(log, "a", encoding="utf-8") as output:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return State("running")
        found = State("finished")
        for step, step_log, command in commands(point, means):
            print(f"# {shlex.join(command)}", file=output, flush=True)
            if _call(command, output, lock) != 0:
                found = State("failed", step, step_log if step_log and Path(step_log).exists() else str(log))
                break
        with atomic_open(point.folder / STATE) as file:
            values = {"state": found.name, "step": found.step, "log": found.log, "made_with": point.digest}
            json.dump(values, file, ensure_ascii=False, indent=1)
    return found


def _call(command: list[str], output: IO[str], lock: IO[str]) -> int:
    """Run a command in the recipe's environment; the lock is held until the last of its processes has ended."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(
        ["bash", "-c", '. ./path.sh && exec "$@"', "sweep", *command],
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, "PATH": path}, pass_fds=(lock.fileno(),),
    )  # fmt: skip
    try:
        return process.wait()
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM (a cluster's time limit) end a sweep as Ctrl-C does: what runs below is asked to stop, too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_all(plan: Plan, means: Means, again: list[str]) -> dict[str, State]:
    """Run what is not finished; a point whose needs have failed waits. Gives the state of every point.

    again: arguments of `speechlm sweep` that make this same plan, for the tasks of an array job.
    """
    states: dict[str, State] = {}
    for number, wave in enumerate(plan.waves(), start=1):
        todo = []
        for point in wave:
            states[point.name] = state_of(point)
            if states[point.name].name == "finished":
                continue
            if any(states[name].name != "finished" for name in point.needs):
                states[point.name] = State("waits", "needs " + ", ".join(point.needs))
            else:
                todo.append(point)
        LOGGER.info("sweep %s: %d of %d points to run%s", plan.name, len(todo), len(wave),
                    f" (wave {number})" if len(plan.waves()) > 1 else "")  # fmt: skip
        states.update(_array(plan, number, todo, means, again) if means.cmd and todo else _in_turn(todo, means))
    return states


def _in_turn(todo: list[Point], means: Means) -> dict[str, State]:
    states = {}
    for point in todo:
        LOGGER.info("%s: follow it in %s/log", point.name, point.folder)
        states[point.name] = run_point(point, means)
        if states[point.name].name != "finished":
            LOGGER.error("%s: %s", point.name, told(states[point.name]))
    return states


def _array(plan: Plan, number: int, todo: list[Point], means: Means, again: list[str]) -> dict[str, State]:
    """Run points as one array job; whether it went well is read from what the points have written down."""
    names = plan.folder / "log" / f"points.{number}.txt"
    with atomic_open(names) as file:
        file.writelines(f"{point.name}\n" for point in todo)
    command = [
        *shlex.split(means.cmd), "--gpu", str(means.ngpu), "--max-jobs-run", str(means.nj), f"JOB=1:{len(todo)}",
        str(plan.folder / "log" / f"point.{number}.JOB.log"),
        sys.executable, "-m", "speechlm.bin.main", "sweep", *again, "--points", str(names), "--job", "JOB",
    ]  # fmt: skip
    if means.nj > 1 and not means.ngpu:  # with more than one thread each, small layers run many times slower
        os.environ.setdefault("SPEECHLM_TRAIN_THREADS", "1")
    with open(plan.folder / "log" / f"array.{number}.log", "a", encoding="utf-8") as output:
        _call(command, output, output)
    found = {}
    for index, point in enumerate(todo, start=1):
        state = state_of(point)
        log = str(plan.folder / "log" / f"point.{number}.{index}.log")
        found[point.name] = State("failed", "job", log) if state.name == "open" else state
    return found


def told(state: State) -> str:
    """Say in words how a point stands."""
    if state.name == "failed":
        return f"failed in {state.step}, see {state.log}"
    return {"running": "is run by another process", "waits": f"not run, {state.step}", "open": "not run"}.get(state.name, state.name)
