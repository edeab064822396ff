"""`speechlm sweep` in a recipe: skips what is finished, lists what failed, goes on after a kill, runs as an array job.

The steps are stand-ins that take no time, in a copy of egs/mini; test_aishell.py runs a sweep that trains.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from test.egs.recipe import copy_recipe, environment

TRAIN = """#!/usr/bin/env bash
set -e
exp=$6 options=" ${*:7} "
mkdir -p "$exp/log"
echo "conf $5, $options" >> trained.txt
if [ -f slow ]; then touch "$exp/began"; sleep 60; fi
if [[ $options == *"--optim.lr=13"* ]]; then echo "thirteen" > "$exp/log/train.log"; exit 1; fi
if [[ $options =~ start_from=.(exp/[^] ]*) && ! -f ${BASH_REMATCH[1]}/model ]]; then exit 1; fi
echo "$options" > "$exp/model"
"""
DECODE = """#!/usr/bin/env bash
set -e
out=$7/decode_$(basename "$8") seed=$(grep -o 'train.seed=[0-9]*' "$7/model")
mkdir -p "$out"
awk -v wrong="${seed#*=}" '{ if (NR <= wrong) $2 = "X" $2; print }' "$8/text" > "$out/text"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose training writes a file and whose decoding makes as many errors as its seed says."""
    folder = copy_recipe("mini", tmp_path)
    (folder / "steps").unlink()
    (folder / "steps").mkdir()
    for name, text in (("train.sh", TRAIN), ("decode.sh", DECODE), ("score.sh", None)):
        path = folder / "steps" / name
        path.write_text(text or (tmp_path / "egs/TEMPLATE/asr1/steps" / name).read_text(encoding="utf-8"), encoding="utf-8")
        path.chmod(0o755)
    (folder / "data/test").mkdir(parents=True)
    (folder / "data/test/text").write_text("".join(f"s-{i} 你好吗\n" for i in range(5)), encoding="utf-8")
    (folder / "data/test/utt2spk").write_text("".join(f"s-{i} s\n" for i in range(5)), encoding="utf-8")
    return folder


def write_sweep(folder: Path, **changes: object) -> Path:
    rows = {"base": {"conf": "conformer_ctc"}, "over": {"conf": "conformer_ctc", "options": {"train.start_from": ["{base}"]}}}
    path = folder / "conf/sweep/s.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"rows": rows, "seeds": [1, 2], "sets": ["data/test"], **changes}, sort_keys=False))
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "speechlm.bin.main", "sweep", "conf/sweep/s.yaml", *arguments]


def sweep(folder: Path, *arguments: str, code: int = 0, timeout: int = 120) -> str:
    done = subprocess.run(command(*arguments), cwd=folder, env=environment(), text=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    logs = "\n".join(log.read_text(encoding="utf-8")[-800:] for log in folder.glob("exp/s/*/log/sweep.log"))
    assert done.returncode == code, f"{done.stdout}\n{logs}"
    return done.stdout


def trained(folder: Path) -> int:
    return len((folder / "trained.txt").read_text().splitlines()) if (folder / "trained.txt").exists() else 0


def test_runs_in_order_writes_the_table_and_then_has_nothing_to_do(recipe: Path) -> None:
    write_sweep(recipe)
    sweep(recipe)
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if line.startswith("| base")]
    assert cells[0][2:4] == ["10.00", "6.67 - 13.33, sd 4.71"], "seeds 1 and 2 make one and two errors in 15 characters"
    assert "Made by `speechlm sweep conf/sweep/s.yaml" in page and "Not finished" not in page
    assert trained(recipe) == 4
    sweep(recipe)
    assert trained(recipe) == 4 and (recipe / "RESULTS.md").read_text(encoding="utf-8") == page
    write_sweep(recipe, options={"optim.steps": 7})
    assert "base-seed1: not run" in sweep(recipe, "--list"), "other options: no longer finished"
    sweep(recipe)
    assert trained(recipe) == 8


def test_the_curve_is_drawn_beside_the_page_and_shown_there(recipe: Path) -> None:
    write_sweep(recipe, curve={"both": ["base", "over"]})
    (recipe / "data/train").mkdir()
    (recipe / "data/train/utt2dur").write_text("s-1 1800\n")
    for row in ("base", "over"):
        for seed in (1, 2):
            folder = recipe / f"exp/s/{row}-seed{seed}"
            folder.mkdir(parents=True)
            (folder / "options.yaml").write_text("data: {train: [data/train]}\n")
    sweep(recipe)
    assert "\n![s_test.svg](s_test.svg)\n" in (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert "10.00 (6.67 - 13.33) at 0.50 h" in (recipe / "s_test.svg").read_text(encoding="utf-8")


def test_a_failed_point_is_listed_and_does_not_stop_the_others(recipe: Path) -> None:
    rows = {"bad": {"conf": "conformer_ctc", "options": {"optim.lr": 13}}, "good": {"conf": "conformer_ctc"},
            "after": {"conf": "conformer_ctc", "options": {"train.start_from": ["{bad}"]}}}  # fmt: skip
    write_sweep(recipe, rows=rows, seeds=[1])
    output = sweep(recipe, code=1)
    told = "bad-seed1: failed in train, see exp/s/bad-seed1/log/train.log"
    assert told in output and "after-seed1: not run, needs bad-seed1" in output
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    assert f"- {told}" in page and "| good" in page
    sweep(recipe, code=1)
    assert trained(recipe) == 3, "the failed one is tried again, the finished one is not"


def test_an_array_job_gives_the_same(recipe: Path) -> None:
    write_sweep(recipe)
    sweep(recipe)
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")
    for folder in (recipe / "exp/s").glob("*-seed*"):
        (folder / "sweep.json").unlink()
    (recipe / "exp/s/over-seed1/decode_test/text").unlink()
    sweep(recipe, "--cmd", "run.pl", "--nj", "2")
    assert (recipe / "RESULTS.md").read_text(encoding="utf-8") == page and trained(recipe) == 8
    logs = [log.name for log in sorted((recipe / "exp/s/log").glob("point.*.log"))]
    assert logs == ["point.1.1.log", "point.1.2.log", "point.2.1.log", "point.2.2.log"], "base before over"


def holders(path: Path) -> set[int]:
    """Find the processes that have a file open."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(place) == str(path):
                found.add(int(place.parts[2]))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_kill_the_same_command_goes_on(recipe: Path, number: signal.Signals) -> None:
    write_sweep(recipe)
    sweep(recipe, "--rows", "base", "--seeds", "1")
    assert trained(recipe) == 1
    page = (recipe / "RESULTS.md").read_text(encoding="utf-8")  # the table shows what is still to come, too
    assert "| 1 of 2 " in page and "| over " in page and "- over-seed2: not run" in page and "--rows" not in page
    (recipe / "slow").touch()
    process = subprocess.Popen(command(), cwd=recipe, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began, end = recipe / "exp/s/base-seed2/began", time.monotonic() + 60
    while not began.exists():
        assert time.monotonic() < end and process.poll() is None, "the second point has not begun"
        time.sleep(0.05)
    os.kill(process.pid, number)
    assert process.wait(60) != 0
    (recipe / "slow").unlink()
    if number == signal.SIGKILL:  # what it had started lives on and holds the point: nobody else takes it
        output = sweep(recipe, "--rows", "base", code=1)
        assert "base-seed2: is run by another process" in output and trained(recipe) == 2
        for holder in holders(recipe / "exp/s/base-seed2/.lock"):
            os.kill(holder, signal.SIGKILL)
    sweep(recipe)
    assert trained(recipe) == 5, "the finished point was left alone, the stopped one was run again"


def test_mistakes_are_one_line(recipe: Path) -> None:
    write_sweep(recipe, rows={"a": {"conf": "conformer_ctc", "options": {"optim.stepps": 1}}})
    output = sweep(recipe, code=1)
    assert "did you mean 'steps'?" in output and "Traceback" not in output and trained(recipe) == 0
    write_sweep(recipe)
    assert "the seeds stand in the sweep's file" in sweep(recipe, "--train.seed", "3", code=1)
    assert "--rows bas: no such row" in sweep(recipe, "--rows", "bas", code=1)
