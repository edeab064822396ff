"""parse_options.sh: Kaldi's manners without its faults (endless loop, swallowed options, evaluated values)."""

from __future__ import annotations

import pytest

from test.shell.helpers import UTILS, run, script

SCRIPT = f"""#!/usr/bin/env bash
# usage: demo.sh [options] FILE
#
#   --nj N   how many jobs
set -euo pipefail
nj=4
stage=0
use_gpu=false
decode_opts=
text_2=
. {UTILS}/parse_options.sh
printf '%s|' "$nj" "$stage" "$use_gpu" "$decode_opts" "$text_2" "$#" "$@"
"""


@pytest.fixture
def demo(tmp_path):
    program = script(tmp_path / "demo.sh", SCRIPT)
    return lambda *words: run(program, *words, cwd=tmp_path, seconds=10)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], "4|0|false|||0|"),
        (["--nj", "8", "a", "b c"], "8|0|false|||2|a|b c|"),
        (["--nj=8", "--use-gpu", "true"], "8|0|true|||0|"),
        (["--decode-opts", "--beam 4 --lm x", "--text_2=--nj"], "4|0|false|--beam 4 --lm x|--nj|0|"),
        (["--stage", "-1", "--nj", "-2.5"], "-2.5|-1|false|||0|"),
        (["--nj", "8", "--", "--stage", "3"], "8|0|false|||2|--stage|3|"),
        (["a", "--nj", "8"], "4|0|false|||3|a|--nj|8|"),
        (["--nj", "8", "--nj", "9", "--text-2", ""], "9|0|false|||0|"),
        (["--text-2", "-"], "4|0|false||-|0|"),
    ],
)
def test_values(demo, words, shown):
    done = demo(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")


def test_values_are_never_evaluated(demo, tmp_path):
    value = "$(touch pwned) `touch pwned`; touch pwned; x'y\"z $HOME \\ *"
    done = demo("--text_2", value)
    assert done.stdout == f"4|0|false||{value}|0|"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nj"], "--nj: its value is missing"),
        (["--stage", "--nj", "4"], "--stage: its value is missing, --nj is the next option"),
        (["--stage", "--nj=4"], "--stage: its value is missing, --nj=4 is the next option"),
        (["--stagee", "4"], "--stagee: no such option; did you mean --stage?"),
        (["--use-gpus", "true"], "--use-gpus: no such option; did you mean --use_gpu?"),
        (["--use-gpu", "yes"], "--use-gpu: must be true or false, not 'yes'"),
        (["--xyzzy=1"], "--xyzzy: no such option (demo.sh --help"),
        (["--PATH", "/tmp"], "--PATH: no such option"),
        (["--BASH_ENV=x"], "--BASH_ENV: no such option"),
        (["--config", "none.conf"], "--config none.conf: cannot read this file"),
    ],
)
def test_faults_are_one_line_and_status_1(demo, words, message):
    done = demo(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"demo.sh: {message}")
    assert done.stderr.count("\n") == 1


def test_help_is_the_leading_comment_or_the_message(demo, tmp_path):
    done = demo("--nj", "3", "--help")
    assert (done.returncode, done.stdout) == (0, "usage: demo.sh [options] FILE\n\n  --nj N   how many jobs\n")
    other = script(tmp_path / "other.sh", f'help_message="say more"\nnj=1\n. {UTILS}/parse_options.sh\n')
    assert run("bash", other, "--help", cwd=tmp_path).stdout == "say more\n"
    assert "no such option" in run("bash", other, "--help-message", "x", cwd=tmp_path).stderr


def test_config_file(demo, tmp_path):
    lines = [
        "# all",
        "nj=7  # seven",
        "--stage = 3\r",
        "text-2='$x # y'   # literal",
        'decode_opts="--beam 4"',
        "",
        "use_gpu=true",
    ]
    (tmp_path / "a.conf").write_text("\n".join(lines))
    assert demo("--config", "a.conf").stdout == "7|3|true|--beam 4|$x # y|0|"
    assert demo("--nj", "9", "--config=a.conf", "f").stdout == "9|3|true|--beam 4|$x # y|1|f|"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("njj=1", "a.conf:2: njj: no such option; did you mean --nj?"),
        ("text_2=$(touch pwned)", "a.conf:2: values are not evaluated"),
        ("text_2=`touch pwned`", "a.conf:2: values are not evaluated"),
        ('text_2="x" y', "a.conf:2: text after the closing quote"),
        ("text_2='x", "a.conf:2: the quote is not closed"),
        ("touch pwned", "a.conf:2: not of the form name=value"),
    ],
)
def test_config_file_faults(demo, tmp_path, line, message):
    (tmp_path / "a.conf").write_text(f"nj=1\n{line}\n")
    done = demo("--config", "a.conf")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"demo.sh: {message}")
    assert not (tmp_path / "pwned").exists()


def test_config_is_an_option_like_others_where_the_script_has_it(tmp_path):
    program = script(tmp_path / "a.sh", f"config=conf/x.yaml\n. {UTILS}/parse_options.sh\necho $config\n")
    assert run("bash", program, "--config", "none.yaml", cwd=tmp_path).stdout == "none.yaml\n"
