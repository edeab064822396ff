"""slurm.pl against a real Slurm, queue.pl against a real GridEngine: arrays, failures, limits, cancelling, rerun."""

from __future__ import annotations

import re
import time

import pytest

from test.cluster.clusters import Call, Cluster
from test.shell.helpers import wait_for

END = re.compile(r"# Ended \(code (\d+)\) at [^\n]+, elapsed time \d+ seconds\n\Z")
# Waits for company, LIMIT tenths of a second, then tells how many run at once.
CONCURRENT = (
    "mkdir running.JOB; for i in $(seq LIMIT); do [ $(ls -d running.* | wc -l) -lt 2 ] || break; sleep 0.1; done;"
    " sleep 0.5; ls -d running.* | wc -l > seen.JOB; sleep 0.7; rmdir running.JOB"
)
# The first time it ends as a training does that saved its work before its time was up.
RUN_AGAIN = "echo run; if [ -e saved.JOB ]; then echo finished; else touch saved.JOB; exit 99; fi"


def begin_what_runs_out_of_time(cluster):
    limit = {"slurm": "1", "gridengine": "0:02"}[cluster.kind]
    call = cluster.begin("--time", limit, "log/x.log", "touch started; sleep 100", folder="time_limit")
    if cluster.kind == "slurm":  # whose shortest limit is a minute: bring the end forward (it looks every 30 seconds)
        wait_for((call.folder / "started").exists, "the job to start")
        cluster.ask(f"scontrol update EndTime=now+1 JobId={call.id}")


@pytest.fixture(scope="module", params=["slurm", "gridengine"])
def cluster(request, tmp_path_factory):
    """A running cluster, on which what takes long has been begun already."""
    cluster = Cluster(request.param, tmp_path_factory.mktemp(request.param))
    begin_what_runs_out_of_time(cluster)
    cluster.begin("JOB=1:2", "log/x.JOB.log", RUN_AGAIN, folder="run_again")
    cluster.begin("JOB=1:2", "log/x.JOB.log", "echo begun; [ JOB != 2 ] || kill -9 0", folder="killed")
    yield cluster
    cluster.close()


SAVE = """import os, signal, sys, time
if os.path.exists("waits"):
    sys.exit(print("went on"))
signal.signal(signal.SIGUSR1, lambda *_: (print("saved"), sys.exit(99)))
open("waits", "w")
time.sleep(60)
"""


def begun(cluster, name):
    """The call that the fixture began in the folder of this name."""
    return Call(cluster.folder / name).wait(70)


def code_of(log: str) -> str:
    assert END.search(log), log
    return END.search(log).group(1)


def test_array(cluster):
    words = ["a b", "it's", "$HOME", "é日本", "a;b", "*"]
    call = cluster.run("JOB=3:6", "log/x.JOB.log", "printf", "%s|", *words, "JOB", ">", "out.JOB", "&&", "echo", "done")
    assert (call.status, call.errors) == (0, "")
    for job in range(3, 7):
        assert (call.folder / f"out.{job}").read_text() == "|".join(words) + f"|{job}|"
        log = call.log(f"x.{job}.log")
        assert log.startswith(
            f"# printf '%s|' 'a b' 'it'\\''s' '$HOME' 'é日本' 'a;b' '*' {job} > out.{job} && echo done\n"
        )
        assert "\n#\ndone\n" in log
        assert re.search(r"^# Running on \S+, (Slurm|GridEngine) job \d+[._]\d+$", log, re.M)
        assert code_of(log) == "0"
    assert list((call.folder / "log/q").iterdir()) == []


def test_failing_tasks_are_named_with_their_log(cluster):
    call = cluster.run("JOB=0:3", "log/x.JOB.log", "echo this is JOB; case JOB in 1) exit 7 ;; 3) exit 100 ;; esac")
    assert call.status == 1
    lines = call.errors.splitlines()
    program = "slurm.pl" if cluster.kind == "slurm" else "queue.pl"
    assert lines[0] == f"{program}: 2 / 4 failed, log is in log/x.*.log"
    assert lines[1] == f"{program}: failed jobs: 1 (code 7); 3 (code 100)"  # 100 hangs for ever in GridEngine itself
    assert lines[2] == f"{program}: the end of log/x.1.log:"
    assert "    this is 1" in lines
    assert [code_of(call.log(f"x.{job}.log")) for job in range(4)] == ["0", "7", "0", "100"]
    assert "Eqw" not in cluster.queue()


def test_rerun_does_only_what_is_missing(cluster):
    words = ["--skip-done", "true", "JOB=1:4", "log/x.JOB.log", "echo JOB >> ran.JOB; [ JOB != 3 ] || [ -e mended ]"]
    call = cluster.run(*words, folder="rerun")
    assert call.status == 1
    (call.folder / "mended").touch()
    call = cluster.run(*words, folder="rerun")
    assert call.status == 0, call.errors
    assert "3 of 4 jobs skipped" in call.errors
    assert [(call.folder / f"ran.{job}").read_text() for job in range(1, 5)] == ["1\n", "2\n", "3\n3\n", "4\n"]


def test_max_jobs_run(cluster):
    limited = cluster.begin("--max-jobs-run", "1", "JOB=1:3", "log/x.JOB.log", CONCURRENT.replace("LIMIT", "5"))
    free = cluster.begin("JOB=1:2", "log/x.JOB.log", CONCURRENT.replace("LIMIT", "100"))
    assert (limited.wait().status, free.wait().status) == (0, 0), limited.errors + free.errors
    assert [int((limited.folder / f"seen.{job}").read_text()) for job in (1, 2, 3)] == [1, 1, 1]
    assert max(int((free.folder / f"seen.{job}").read_text()) for job in (1, 2)) == 2  # else the first says nothing


def test_resources_reach_the_job(cluster):
    call = cluster.run("--mem", "300M", "--num-threads", "2", "--gpu", "1", "log/x.log", "env")
    assert call.status == 0, call.errors
    seen = dict(line.split("=", 1) for line in call.log("x.log").splitlines() if re.match(r"\w+=", line))
    assert seen["OMP_NUM_THREADS"] == "2"
    if cluster.kind == "slurm":
        assert (seen["SLURM_CPUS_PER_TASK"], seen["SLURM_MEM_PER_NODE"]) == ("2", "300")
        assert seen["CUDA_VISIBLE_DEVICES"] == "0"
    else:
        assert seen["NSLOTS"] == "2"


def test_a_configuration_of_kaldi(cluster):
    lines = {
        "slurm": "command sbatch --export=PATH\noption gpu=0 -p cpu\noption gpu=* -p gpu --gres=gpu:$0 -c $0\ndefault gpu=0\n",
        "gridengine": "command qsub -v PATH -cwd -S /bin/bash -j y\noption gpu=0 -q all.q\noption gpu=* -l gpu=$0 -q gpu.q\n",
    }
    (cluster.folder / "configured").mkdir()
    (cluster.folder / "configured/a.conf").write_text(lines[cluster.kind])
    (cluster.folder / "configured/path.sh").write_text("export FROM_PATH_SH=yes\n")
    call = cluster.run("--config", "a.conf", "--gpu", "1", "log/x.log", "env", folder="configured")
    assert call.status == 0, call.errors
    assert "\nFROM_PATH_SH=yes\n" in call.log("x.log")
    assert ("\nSLURM_JOB_PARTITION=gpu\n" if cluster.kind == "slurm" else "\nQUEUE=gpu.q\n") in call.log("x.log")


def test_ctrl_c_cancels_what_was_submitted(cluster):
    call = cluster.begin(
        "--max-jobs-run", "1", "JOB=1:2", "log/x.JOB.log", "sh -c 'echo $$ > pid.JOB; exec sleep 60'; echo on"
    )
    wait_for(lambda: (call.folder / "pid.1").exists() and (call.folder / "pid.1").read_text(), "the job to start")
    cluster.send(f"kill -INT $(cat {call.folder}/.pid)")
    call.wait(20)
    assert call.status == 130, call.errors
    assert "stopped by SIGINT, cancelling job" in call.errors
    number = re.search(r"cancelling job (\d+)", call.errors).group(1)
    assert not cluster.has(number)
    wait_for(lambda: not cluster.alive((call.folder / "pid.1").read_text().strip()), "the process to end")
    assert "code 0" not in call.log("x.1.log")
    assert "\non\n" not in call.log("x.1.log")
    assert not (call.folder / "log/x.2.log").exists()


def test_a_job_that_can_never_start(cluster):
    began = time.monotonic()
    call = cluster.run("--num-threads", "999", "--start-timeout", "3", "JOB=1:2", "log/x.JOB.log", "true")
    assert time.monotonic() - began < 40
    assert call.status == 1
    assert "has not started within 3 seconds and was cancelled" in call.errors
    reason = "PartitionConfig" if cluster.kind == "slurm" else 'cannot run in PE "smp"'
    assert reason in call.errors
    number = re.search(r"job (\d+) has not", call.errors).group(1)
    wait_for(lambda: not cluster.has(number), "the job to leave the queue")


def test_what_the_scheduler_refuses(cluster):
    flag = {"slurm": "-p", "gridengine": "-q"}[cluster.kind]
    call = cluster.run(flag, "nowhere", "log/x.log", "true")
    assert call.status == 1
    assert "the submission was refused" in call.errors
    assert "nowhere" in call.errors.splitlines()[-2] + call.errors.splitlines()[-1]


def test_a_job_that_is_deleted_by_somebody_else(cluster):
    call = cluster.begin("JOB=1:2", "log/x.JOB.log", "touch up.JOB; [ JOB = 1 ] || sleep 60")
    wait_for(lambda: (call.folder / "up.2").exists(), "the job to start")
    cluster.ask(f"scancel {call.id}_2" if cluster.kind == "slurm" else f"qdel {call.id}.2")
    call.wait(30)
    assert call.status == 1
    assert "1 / 2 failed" in call.errors
    assert ("2 (code 143, CANCELLED)" if cluster.kind == "slurm" else "2 (code 137, killed or deleted)") in call.errors
    assert code_of(call.log("x.2.log")) in ("143", "137")


def test_a_job_that_is_killed_with_all_its_processes(cluster):
    call = begun(cluster, "killed")
    assert call.status == 1
    assert "1 / 2 failed" in call.errors
    assert re.search(r"failed jobs: 2 \(code 137, .*\)", call.errors)
    log = call.log("x.2.log")
    assert "begun" in log
    assert code_of(log) == "137"
    assert code_of(call.log("x.1.log")) == "0"


def test_a_job_that_saved_its_work_is_run_again(cluster):
    call = begun(cluster, "run_again")
    assert call.status == 0, call.errors
    for job in (1, 2):
        log = call.log(f"x.{job}.log")
        assert log.count("\nrun\n") == 2
        assert "# To be run again (code 99) at" in log
        assert code_of(log) == "0"


def test_a_job_that_is_warned_before_its_time_is_up(cluster):
    if cluster.kind != "slurm":
        pytest.skip("GridEngine warns by resource limits of its own (s_rt, -notify)")
    (cluster.folder / "warned").mkdir()
    (cluster.folder / "warned/save.py").write_text(SAVE)
    call = cluster.begin("log/x.log", "python3", "save.py", folder="warned")
    wait_for((call.folder / "waits").exists, "the program to wait for the signal")
    cluster.ask(f"scancel --batch --signal=USR1 {call.id}")  # as sbatch --signal=B:USR1@120 does
    assert call.wait(30).status == 0, call.errors
    assert (
        call.log("x.log").index("saved")
        < call.log("x.log").index("# Started again")
        < call.log("x.log").index("went on")
    )


def test_time_limit(cluster):
    call = begun(cluster, "time_limit")
    assert call.status == 1
    assert ("code 143, TIMEOUT" if cluster.kind == "slurm" else "limit") in call.errors
    assert code_of(call.log("x.log")) in ("143", "137")
