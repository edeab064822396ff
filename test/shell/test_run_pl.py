"""run.pl: Kaldi's command line, logs and status; words that survive; rerun, limits, Ctrl-C."""

from __future__ import annotations

import os
import re
import time

import pytest

from test.shell.helpers import UTILS, alive, interrupt, run, wait_for

END = re.compile(
    r"(?:\A|\n)# Accounting: time=\d+ threads=\d+\n# Ended \(code (\d+)\) at [^\n]+ \d{4}, elapsed time \d+ seconds\n\Z"
)


def body(path) -> str:
    """What the command itself wrote into a log."""
    text = path.read_text(errors="surrogateescape")
    assert END.search(text), text
    return END.sub("", text.split("\n#\n", 1)[1])


def test_log_of_a_single_job(tmp_path):
    done = run("run.pl", "exp/log/a.log", "echo", "hello", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (tmp_path / "exp/log/a.log").read_text()
    assert text.startswith(f"# echo hello\n# Running on {os.uname().nodename}\n# Started at ")
    assert END.search(text).group(1) == "0"
    assert body(tmp_path / "exp/log/a.log") == "hello"


def test_job_number_in_log_and_command(tmp_path):
    (tmp_path / "in").mkdir()
    for job in range(3, 6):
        (tmp_path / f"in/{job}.txt").write_text(f"line {job}\n")
    assert run("run.pl", "JOB=3:5", "log/a.JOB.log", "cat", "in/JOB.txt", ">", "out.JOB", cwd=tmp_path).returncode == 0
    assert [(tmp_path / f"out.{job}").read_text() for job in (3, 4, 5)] == ["line 3\n", "line 4\n", "line 5\n"]
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["a.3.log", "a.4.log", "a.5.log"]


WORDS = [
    "a b",
    "it's",
    '"q"',
    "$HOME",
    "`id`",
    "a;b",
    "*",
    "~",
    "é日本",
    "",
    "\\",
    "a\tb",
    "{1,2}",
    "--x=y z",
    "<unk>",
    "#",
    "x\ny",
    "&x",
    "!!",
]


def test_words_of_the_command_survive(tmp_path):
    done = run(
        "run.pl",
        "log/a.log",
        "python3",
        "-c",
        "import sys; print(sys.argv[1:])",
        *WORDS,
        cwd=tmp_path,
        LC_ALL="C.UTF-8",
    )
    assert done.returncode == 0, done.stderr
    assert body(tmp_path / "log/a.log") == repr(WORDS)


def test_lone_operators_are_for_the_shell(tmp_path):
    words = [
        "printf",
        "%s\\n",
        "b",
        "a",
        "|",
        "sort",
        ">",
        "out",
        "&&",
        "echo",
        "x y",
        "2>&1",
        ">>out",
        ";",
        "(",
        "echo",
        "end",
        ")",
    ]
    assert run("run.pl", "log/a.log", *words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == "a\nb\nx y\n"
    assert body(tmp_path / "log/a.log") == "end"
    assert run("run.pl", "log/b.log", "X=1 2", "Y=3", "env", "|", "grep", "^[XY]=", cwd=tmp_path).returncode == 0
    assert sorted(body(tmp_path / "log/b.log").split("\n")) == ["X=1 2", "Y=3"]


def test_a_single_word_is_a_shell_command(tmp_path):
    assert (
        run(
            "run.pl", "JOB=1:2", "log/a.JOB.log", 'x=JOB; for i in "$x" b; do echo "$i"; done | tr b c', cwd=tmp_path
        ).returncode
        == 0
    )
    assert body(tmp_path / "log/a.2.log") == "2\nc"


def test_a_command_longer_than_the_system_allows_for_one_argument(tmp_path):
    text = " ".join(f"word{i:06}" for i in range(20000))  # 220 kB; Linux allows 128 kB
    (tmp_path / "words").write_text(text)
    done = run("bash", "-c", f"{UTILS}/run.pl log/a.log echo $(cat words)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert body(tmp_path / "log/a.log") == text


def test_failures_are_counted_named_and_shown(tmp_path):
    command = "echo this is JOB; [ JOB != 2 ] && [ JOB != 3 ] || exit 7; [ JOB != 5 ] || kill -9 $BASHPID"
    done = run("run.pl", "JOB=1:6", "log/x.JOB.log", command, cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.split("\n")
    assert lines[0] == "run.pl: 3 / 6 failed, log is in log/x.*.log"
    assert lines[1] == "run.pl: failed jobs: 2-3 (code 7); 5 (code 137)"
    assert lines[2] == "run.pl: the end of log/x.2.log:"
    assert "    this is 2" in lines
    assert END.search((tmp_path / "log/x.5.log").read_text()).group(1) == "137"
    assert END.search((tmp_path / "log/x.6.log").read_text()).group(1) == "0"
    done = run("run.pl", "log/y.log", "nothing-of-this-name", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("run.pl: job failed (code 127), log is in log/y.log\n")


def test_a_failure_inside_of_a_pipe_is_a_failure(tmp_path):
    assert run("run.pl", "log/x.log", "false", "|", "cat", cwd=tmp_path).returncode == 1


def test_status_is_a_line_of_its_own(tmp_path):
    run("run.pl", "log/x.log", "printf", "no newline", cwd=tmp_path)
    assert body(tmp_path / "log/x.log") == "no newline"


def test_no_input(tmp_path):
    assert run("run.pl", "log/x.log", "cat", cwd=tmp_path, stdin="should not be read").returncode == 0
    assert body(tmp_path / "log/x.log") == ""


def test_skip_done(tmp_path):
    command = "echo x >> runs.JOB; test JOB != 2 -o -e mended"
    call = ["run.pl", "--skip-done", "true", "JOB=1:4", "log/x.JOB.log"]
    assert run(*call, command, cwd=tmp_path).returncode == 1
    (tmp_path / "mended").touch()
    (tmp_path / "log/x.4.log").write_text(
        (tmp_path / "log/x.4.log").read_text().rsplit("# Ended", 1)[0]
    )  # killed with the machine
    done = run(*call, command, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "run.pl: 2 of 4 jobs skipped, their logs (log/x.*.log) say that they are done\n"
    assert [(tmp_path / f"runs.{job}").read_text() for job in range(1, 5)] == ["x\n", "x\nx\n", "x\n", "x\nx\n"]
    assert run(*call, command, cwd=tmp_path).stderr.startswith("run.pl: 4 of 4 jobs skipped")
    assert run(*call, command + " ", cwd=tmp_path).stderr.startswith("run.pl: 4 of 4 jobs skipped")
    assert run(*call, command + " -o -e other", cwd=tmp_path).stderr == ""  # another command is not done
    assert run("run.pl", *call[3:], command, cwd=tmp_path).stderr == ""  # not asked for
    assert (tmp_path / "runs.1").read_text() == "x\n" * 3


def together(most: int) -> str:
    """A job that waits until `most` run at once (10 s at most, and only the first time), then tells how many do.

    The names are counted by the shell: `ls` would stumble over one that vanishes between its two looks.
    """
    return (
        f"mkdir running.JOB; for i in $(seq 200); do [ -e reached ] && break; [ $(set -- running.*; echo $#) -lt {most} ]"
        " || touch reached; sleep 0.05; done; sleep 0.2; (set -- running.*; echo $#); rmdir running.JOB"
    )


def most_at_once(tmp_path, jobs: int) -> int:
    return max(int(body(tmp_path / f"log/x.{job}.log")) for job in range(1, jobs + 1))


def test_max_jobs_run(tmp_path):
    assert run("run.pl", "--max-jobs-run", "2", "JOB=1:5", "log/x.JOB.log", together(2), cwd=tmp_path).returncode == 0
    assert most_at_once(tmp_path, 5) == 2


@pytest.mark.parametrize(
    ("options", "most"),
    [(["--mem", "900000G"], 1), (["--num-threads", "1000"], 1), (["--max-jobs-run", "3", "--mem", "1K"], 3)],
)
def test_resources_bound_the_jobs_at_the_same_time(tmp_path, options, most):
    assert run("run.pl", *options, "JOB=1:3", "log/x.JOB.log", together(most), cwd=tmp_path).returncode == 0
    assert most_at_once(tmp_path, 3) == most


def test_threads(tmp_path):
    run("run.pl", "--num-threads", "3", "log/a.log", "echo $OMP_NUM_THREADS", cwd=tmp_path)
    assert body(tmp_path / "log/a.log") == "3"
    run(
        "env",
        "-u",
        "OMP_NUM_THREADS",
        UTILS / "run.pl",
        "JOB=1:2",
        "log/b.JOB.log",
        "echo $OMP_NUM_THREADS",
        cwd=tmp_path,
    )
    assert body(tmp_path / "log/b.1.log") == "1"
    run("run.pl", "JOB=1:2", "log/c.JOB.log", "echo $OMP_NUM_THREADS", cwd=tmp_path, OMP_NUM_THREADS="5")
    assert body(tmp_path / "log/c.1.log") == "5"


def test_every_job_gets_gpus_of_its_own(tmp_path):
    command = "echo $CUDA_VISIBLE_DEVICES > gpu.JOB; sleep 0.2"
    done = run("run.pl", "--gpu", "1", "JOB=1:4", "log/x.JOB.log", command, cwd=tmp_path, CUDA_VISIBLE_DEVICES="4,7")
    assert done.returncode == 0, done.stderr
    assert sorted((tmp_path / f"gpu.{job}").read_text() for job in range(1, 5)) == ["4\n", "4\n", "7\n", "7\n"]
    done = run("run.pl", "--gpu", "3", "log/x.log", "true", cwd=tmp_path, CUDA_VISIBLE_DEVICES="4,7")
    assert (done.returncode, done.stderr) == (1, "run.pl: --gpu 3: this machine has only 2 GPU\n")
    done = run("run.pl", "--gpu", "1", "log/x.log", "true", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stderr) == (0, "run.pl: --gpu 1: this machine has no GPU, the jobs run without\n")


def test_time_limit(tmp_path):
    began = time.monotonic()
    done = run(
        "run.pl", "--time", "0:04", "JOB=1:2", "log/x.JOB.log", "test JOB = 1 || sleep 30; echo end", cwd=tmp_path
    )
    assert time.monotonic() - began < 25  # not the 30 s of grace or sleep
    assert done.returncode == 1
    assert "run.pl: failed jobs: 2 (code 143, over the time limit 0:04)" in done.stderr
    text = (tmp_path / "log/x.2.log").read_text()
    assert "# run.pl: over the time limit 0:04, stopped" in text
    assert "end" not in text.split("#\n", 1)[1].replace("Ended", "")  # the list does not go on


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 180), ("1:30", 90), ("2:00:05", 7205), ("1-2", 93600), ("1-2:03", 93780), ("1-02:03:04", 93784)],
)
def test_time_is_read_as_slurm_reads_it(tmp_path, text, seconds):
    code = f"use lib '{UTILS}/lib'; use JobCall 'seconds_of'; print seconds_of('{text}')"
    assert run("perl", "-e", code, cwd=tmp_path).stdout == str(seconds)


def wait_for_end(pid_file) -> None:
    """A process that was killed needs a moment until it is gone."""
    process = int(pid_file.read_text())
    wait_for(lambda: not alive(process), f"the end of process {process}", 5)


@pytest.mark.parametrize(("sig", "code"), [(2, 130), (15, 143), (1, 129)])
def test_a_signal_ends_the_jobs_and_what_they_started(tmp_path, sig, code):
    command = "sh -c 'sleep 47.1125 & echo $! > pid.JOB; wait'; echo goes on"
    status, output = interrupt(
        UTILS / "run.pl",
        "JOB=1:2",
        "log/x.JOB.log",
        command,
        cwd=tmp_path,
        when=[tmp_path / "pid.1", tmp_path / "pid.2"],
        sig=sig,
    )
    assert status == code, output
    assert "stopping 2 running jobs; 0 were not started" in output
    for job in (1, 2):
        wait_for_end(tmp_path / f"pid.{job}")
        text = (tmp_path / f"log/x.{job}.log").read_text()
        assert END.search(text).group(1) == "143"
        assert "goes on" not in text.split("#\n", 1)[1]


def test_under_nohup_a_hangup_ends_nothing(tmp_path):
    call = ["nohup", UTILS / "run.pl", "log/x.log", "touch ready; sleep 1; echo end"]
    status, output = interrupt(*call, cwd=tmp_path, when=[tmp_path / "ready"], sig=1)
    assert status == 0, output
    assert body(tmp_path / "log/x.log") == "end"


def test_a_second_ctrl_c_kills_a_job_that_does_not_stop(tmp_path):
    command = "trap '' TERM; echo $BASHPID > pid; while :; do sleep 1; done"
    began = time.monotonic()
    call = [UTILS / "run.pl", "log/x.log", command]
    status, _ = interrupt(*call, cwd=tmp_path, when=[tmp_path / "pid"], twice=True)
    assert status == 130
    assert time.monotonic() - began < 25  # not the 30 s of grace or sleep
    wait_for_end(tmp_path / "pid")


def test_a_job_may_save_its_work_before_it_stops(tmp_path):
    code = "import signal, time; signal.signal(15, lambda *_: (time.sleep(0.7), print('saved', flush=True), exit(0)))"
    call = [
        UTILS / "run.pl",
        "log/x.log",
        "python3",
        "-c",
        f"{code}; open('ready', 'w'); time.sleep(30)",
        ";",
        "touch",
        "next",
    ]
    status, _ = interrupt(*call, cwd=tmp_path, when=[tmp_path / "ready"])
    assert status == 130
    assert body(tmp_path / "log/x.log") == "saved"
    assert END.search((tmp_path / "log/x.log").read_text()).group(1) == "143"  # not done, though the program says 0
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Usage: run.pl"),
        (["log/x.log"], "expected LOG COMMAND... after the options"),
        (["JOB=1:4", "log/x.log", "true"], "log/x.log: several jobs would write this one log; put JOB into its name"),
        (["JOB=4:1", "log/x.JOB.log", "true"], "JOB=4:1: the first job is after the last"),
        (["--mem", "much", "x.log", "true"], "--mem: must be a size such as 4G, not 'much'"),
        (["--num-threads", "0", "x.log", "true"], "--num-threads: must be a whole number from 1, not '0'"),
        (["--max-jobs-run=x", "x.log", "true"], "--max-jobs-run: must be a whole number from 1, not 'x'"),
        (["--time", "soon", "x.log", "true"], "--time: must be MINUTES"),
        (["--skip-done", "yes", "x.log", "true"], "--skip-done: must be true or false, not 'yes'"),
        (["--max-jobs", "3", "x.log", "true"], "--max-jobs: no such option"),
        (["-l", "gpu=1", "x.log", "true"], "-l: no such option"),
        (["--mem", "--gpu", "1", "x.log", "true"], "--mem: its value is missing"),
        (["--mem"], "--mem: its value is missing"),
        (["--config", "none.conf", "x.log", "true"], "--config none.conf: No such file"),
        (["/proc/none/x.log", "true"], "cannot make the folder /proc/none for the logs"),
    ],
)
def test_faults(tmp_path, words, message):
    done = run("run.pl", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert not words or done.stderr.count("\n") == 1
    assert not (tmp_path / "x.log").exists()


def test_a_log_that_cannot_be_written_fails_the_job(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log/x.1.log").mkdir()
    done = run("run.pl", "JOB=1:2", "log/x.JOB.log", "touch ran.JOB", cwd=tmp_path)
    assert done.returncode == 1
    assert "1 / 2 failed" in done.stderr
    assert (tmp_path / "ran.2").exists()
    assert not (tmp_path / "ran.1").exists()


def test_defaults_from_a_config_file(tmp_path):
    (tmp_path / "a.conf").write_text("default num_threads=6  # many\noption foo=* -x $0\n")
    assert run("run.pl", "--config", "a.conf", "x.log", "echo $OMP_NUM_THREADS", cwd=tmp_path).returncode == 0
    assert body(tmp_path / "x.log") == "6"
    done = run("run.pl", "--config", "a.conf", "--foo", "1", "x.log", "true", cwd=tmp_path)
    assert "--foo: no such option" in done.stderr  # there is no scheduler that it could be for


def test_help_is_asked_for(tmp_path):
    done = run("run.pl", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: run.pl [options]")
