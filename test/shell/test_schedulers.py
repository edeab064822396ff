"""What slurm.pl and queue.pl submit, seen by a stand-in that runs the array at once; the real ones are in test/cluster."""

from __future__ import annotations

import shlex

import pytest

from test.shell.helpers import run, script

# Takes the place of sbatch and qsub: notes its words, runs every task of the array, prints the id.
STAND_IN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > words
count=$(printf '%s\\n' "$@" | sed -n -e 's/^--array=1-\\([0-9]*\\).*/\\1/p' -e 's/^1:\\([0-9]*\\)$/\\1/p')
for task in $(seq "${count:-1}"); do
  SLURM_ARRAY_TASK_ID=$task SGE_TASK_ID=$task setsid bash "${@: -1}"
done
echo 42
"""
# ESPnet's and Kaldi's forms
SLURM_CONF = """# Default configuration
command sbatch --export=PATH
option name=* --job-name $0
option time=* --time $0
option mem=* --mem-per-cpu $0
option mem=0
option num_threads=* --cpus-per-task $0
option num_threads=1 --cpus-per-task 1
default gpu=0
option gpu=0 -p cpu
option gpu=* -p gpu --gres=gpu:$0 -c $0  # Recommend allocating more CPU than, or equal to the number of GPU
"""
QUEUE_CONF = """command qsub -v PATH -cwd -S /bin/bash -j y -l arch=*64*
option mem=* -l mem_free=$0,ram_free=$0
option mem=0          # Do not add anything to qsub_opts
option num_threads=* -pe smp $0
option num_threads=1  # Do not add anything to qsub_opts
option max_jobs_run=* -tc $0
default gpu=0
option gpu=0 -q all.q
option gpu=* -l 'gpu=$0,note=a b' -q g.q
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "qsub"):
        script(tmp_path / "bin" / name, STAND_IN)
    for name in ("squeue", "qstat"):
        script(tmp_path / "bin" / name, "#!/bin/sh\nexit 1\n")  # does not answer: nothing is known
    (tmp_path / "slurm.conf").write_text(SLURM_CONF)
    (tmp_path / "queue.conf").write_text(QUEUE_CONF)
    return tmp_path


def submit(folder, *words):
    import os
    import sys

    path = f"{folder}/bin:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = run(*words, cwd=folder, PATH=path)
    file = folder / "words"
    return done, file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "--export=PATH -p cpu"),
        ("--gpu 2 --mem 8G", "--export=PATH -p gpu --gres=gpu:2 -c 2 --mem-per-cpu 8G"),
        ("--mem 0 --num-threads 1", "--export=PATH -p cpu --cpus-per-task 1"),
        ("--num_threads=4 --time 1-0 -A project", "--export=PATH -p cpu --cpus-per-task 4 --time 1-0 -A project"),
        ("--name my --max-jobs-run 3", "--export=PATH -p cpu --job-name my"),
    ],
)
def test_words_of_sbatch(folder, options, expected):
    call = ["slurm.pl", "--config", "slurm.conf", *options.split(), "JOB=1:2", "log/x.JOB.log", "touch", "ran.JOB"]
    done, words = submit(folder, *call)
    assert done.returncode == 0, done.stderr
    array = "--array=1-2" + ("%3" if "max" in options else "")
    end = words.index(array)
    assert sorted(words[: end - 0]) == sorted(expected.split())
    assert words[end + 1 : end + 4] == ["--parsable", "--open-mode=append", "--job-name=x"]
    assert (folder / "ran.2").exists()
    assert list((folder / "log/q").iterdir()) == []  # nothing is left of a success


def test_words_of_qsub(folder):
    call = [
        "queue.pl",
        "--config",
        "queue.conf",
        "--gpu",
        "1",
        "--mem",
        "2G",
        "--num-threads",
        "4",
        "--max-jobs-run",
        "5",
    ]
    done, words = submit(folder, *call, "-pe", "mpi", "2", "-V", "JOB=1:2", "log/x.JOB.log", "touch ran.JOB")
    assert done.returncode == 0, done.stderr
    expected = "-v PATH -cwd -S /bin/bash -j y -l arch=*64* -l 'gpu=1,note=a b' -q g.q -tc 5 -l mem_free=2G,ram_free=2G -pe smp 4"
    assert words[: words.index("-t")] == shlex.split(expected + " -pe mpi 2 -V")
    assert words[words.index("-t") + 1] == "1:2"
    assert (folder / "ran.2").exists()


def test_jobs_need_not_begin_with_1_and_a_rerun_submits_only_what_is_missing(folder):
    call = [
        "slurm.pl",
        "--skip-done",
        "true",
        "JOB=0:3",
        "log/x.JOB.log",
        "echo JOB >> ran; [ JOB != 2 ] || test -e mended",
    ]
    done, words = submit(folder, *call)
    assert done.returncode == 1
    assert "slurm.pl: failed jobs: 2 (code 1)" in done.stderr
    assert "--array=1-4" in words
    (folder / "mended").touch()
    done, words = submit(folder, *call)
    assert done.returncode == 0, done.stderr
    assert "3 of 4 jobs skipped" in done.stderr
    assert "--array=1-1" in words
    assert (folder / "ran").read_text().split() == ["0", "1", "2", "3", "2"]


def test_the_words_of_the_command_survive(folder):
    words = ["a b", "it's", '"q"', "$HOME", "`id`", "a;b", "*", "é日本", "", "\\", "x\ny", "END"]
    for program in ("slurm.pl", "queue.pl"):
        done, _ = submit(
            folder, program, "log/x.log", "python3", "-c", "import sys; print(ascii(sys.argv[1:]))", *words
        )
        assert done.returncode == 0, done.stderr
        expected = ascii(
            [word if word.isascii() else word.encode().decode("ascii", "surrogateescape") for word in words]
        )
        log = (folder / "log/x.log").read_text()
        assert expected in log or ascii(words) in log


def test_path_sh_is_read_on_the_node(folder):
    (folder / "path.sh").write_text("export FROM_PATH_SH=yes\n")
    assert submit(folder, "slurm.pl", "log/x.log", "test $FROM_PATH_SH = yes")[0].returncode == 0
    (folder / "path.sh").write_text("echo broken path >&2; false\n")
    done, _ = submit(folder, "slurm.pl", "log/y.log", "true")
    assert done.returncode == 1
    assert "broken path" in done.stderr


@pytest.mark.parametrize("program", ["slurm.pl", "queue.pl"])
@pytest.mark.parametrize(
    ("conf", "options", "message"),
    [
        ("command sbatch\n", "--mem 4G", "a.conf has no line 'option mem=4G' or 'option mem=*', needed for --mem 4G"),
        ("command sbatch\noption mem=1G x\n", "--mem 4G", "a.conf has no line 'option mem=4G'"),
        ("option mem=* x\n", "", "a.conf: there is no line 'command WORDS'"),
        ("command sbatch\n\noptions mem=* x\n", "", "a.conf:3: expected 'command WORDS'"),
        ("command sbatch\ndefault mem\n", "", "a.conf:2: expected"),
        ("command sbatch 'x\n", "", "a.conf:1: a quote is not closed"),
        ("command sbatch\n", "--partition x", "--partition: no such option"),
        ("command sbatch\n", "--start-timeout soon", "--start-timeout: must be a whole number of seconds"),
        ("command refuses\n", "", "the submission was refused: refuses"),
        ("command nosuchprogram\n", "", "nosuchprogram: No such file"),
    ],
)
def test_faults(folder, program, conf, options, message):
    (folder / "a.conf").write_text(conf)
    script(folder / "bin/refuses", "#!/bin/sh\necho no such queue >&2; exit 1\n")
    done, words = submit(folder, program, "--config", "a.conf", *options.split(), "log/x.log", "true")
    assert done.returncode == 1
    assert message in done.stderr
    assert words == []
    if "refuses" in conf:
        assert "no such queue" in done.stderr
        assert list((folder / "log/q").iterdir()) == []


def test_sync_is_refused(folder):
    done, _ = submit(folder, "queue.pl", "-sync", "y", "log/x.log", "true")
    assert (done.returncode, done.stderr) == (
        1,
        "queue.pl: -sync is of no use here: queue.pl always waits for its jobs\n",
    )
