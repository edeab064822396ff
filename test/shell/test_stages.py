"""stages.sh: a run.sh that is a table of contents."""

from __future__ import annotations

import re

import pytest

from test.shell.helpers import UTILS, interrupt, run, script

HEAD = """#!/usr/bin/env bash
%s
stage=0
stop_stage=9
nj=2
name=x
. UTILS/parse_options.sh
. UTILS/stages.sh
two() {
  echo first
  grep -q nothing made
  echo NOT REACHED
}
stage 0 "Data -> made data/*.txt" bash -c 'mkdir -p data; touch made data/a.txt'
stage 1 "Features" echo nj $nj
stage 2 "Forgets -> gone/x made" echo hi
stage 3 "Function" two
stage 4 "Code" bash -c 'echo log/x.2.log >> $FAILED_LOGS_TO; exit 7'
stage 5 "Missing" ./nothing
stage 6 "Sleeps" sh -c 'echo > asleep; exec sleep 30'
"""


@pytest.fixture(params=["set -euo pipefail", "set -e", ":"])
def recipe(tmp_path, request):
    program = script(tmp_path / "run.sh", (HEAD % request.param).replace("UTILS", str(UTILS)))
    (tmp_path / "made").touch()
    return lambda *words: run(program, *words, cwd=tmp_path)


def test_runs_the_stages_that_are_asked_for(recipe, tmp_path):
    done = recipe("--stop-stage", "1", "--nj", "5")
    assert done.returncode == 0, done.stderr
    assert "nj 5" in done.stdout
    assert "stage 0: Data  [" in done.stdout
    assert re.search(r"^stage 0: done in \d+ s, see made data/\*\.txt$", done.stdout, re.M)
    assert "stage 2" not in done.stdout
    assert "run.sh: done in" in done.stdout
    done = recipe("--stage", "1", "--stop_stage", "1")
    assert "stage 0" not in done.stdout


def test_a_stage_that_leaves_nothing_has_failed(recipe):
    done = recipe("--stage", "2")
    assert done.returncode == 1
    assert "the command of stage 2 ended well, but there is no gone/x" in done.stderr
    assert "stage 3" not in done.stdout


def test_failure_names_log_code_and_command_to_go_on_with(recipe):
    done = recipe("--nj", "5", "--stage=4", "--name", "a b'c")
    assert done.returncode == 7
    assert "FAILED (code 7): stage 4: Code" in done.stderr
    assert "log:      log/x.2.log" in done.stderr
    assert "run.sh --stage 4 --nj 5 --name a\\ b\\'c\n" in done.stderr
    assert "Missing" not in done.stdout
    done = recipe("--stage", "5", "--nj", "5")
    assert done.returncode == 127
    assert "run.sh --stage 5 --nj 5\n" in done.stderr


def test_no_stage_to_run_is_a_fault(recipe):
    done = recipe("--stage", "7")
    assert done.returncode == 1
    assert "no stage from 7 to 9, nothing was done" in done.stderr


@pytest.mark.parametrize("word", ["x", "1.5", "08", "a[$(touch pwned)]"])
def test_stage_must_be_a_number(recipe, tmp_path, word):
    done = recipe("--stage", word)
    assert done.returncode == 1
    assert "--stage must be a whole number" in done.stderr
    assert not (tmp_path / "pwned").exists()


def test_a_function_stops_at_its_first_failure(tmp_path):
    (tmp_path / "made").touch()
    program = script(tmp_path / "run.sh", (HEAD % "set -euo pipefail").replace("UTILS", str(UTILS)))
    done = run(program, "--stage", "3", cwd=tmp_path)
    assert done.returncode == 1
    assert "first" in done.stdout
    assert "NOT REACHED" not in done.stdout
    assert "FAILED (code 1): stage 3: Function" in done.stderr


def test_ctrl_c_tells_how_to_go_on_and_leaves_nothing(tmp_path):
    program = script(tmp_path / "run.sh", (HEAD % "set -euo pipefail").replace("UTILS", str(UTILS)))
    (tmp_path / "tmp").mkdir()
    code, output = interrupt(
        "env", f"TMPDIR={tmp_path}/tmp", program, "--stage", "6", cwd=tmp_path, when=[tmp_path / "asleep"]
    )
    assert code == 130
    assert "stopped by Ctrl-C in stage 6: Sleeps" in output
    assert "run.sh --stage 6" in output
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_log_of_a_failed_job_is_named(tmp_path):
    text = f"""set -euo pipefail
. {UTILS}/stages.sh
stage 0 "Jobs" {UTILS}/run.pl JOB=1:3 log/x.JOB.log 'test JOB != 2'
"""
    done = run("bash", script(tmp_path / "run.sh", text), cwd=tmp_path)
    assert done.returncode == 1
    assert "log:      log/x.2.log" in done.stderr
