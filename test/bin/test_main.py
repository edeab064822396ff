"""The command line as a whole: help without torch, unknown commands, one line for a user's mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

from speechlm.bin.main import main, names, overview

HEAVY = {"torch", "transformers", "torchaudio", "peft", "scipy", "pydantic", "matplotlib"}


def test_every_help_page_comes_without_heavy_imports() -> None:
    code = f"""
import contextlib, io, sys
from speechlm.bin.main import main, names
for name in [None, *names()]:
    with contextlib.redirect_stdout(io.StringIO()) as page:
        try:
            main([*([name] if name else []), "--help"])
        except SystemExit as end:
            assert end.code == 0, name
    assert len(page.getvalue()) > 100, name
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["prepare", "fbank", "cmvn", "tokens", "units", "score", "results", "validate_data", "fix_data"])
def test_stages_without_a_model_do_not_import_torch(name: str, tmp_path: Path) -> None:
    """Run each with arguments that end in a user's mistake: everything it needs has been imported by then."""
    given = {
        "prepare": ["fsdd", "--corpus_dir", "none", "--data", "data"], "fbank": ["--scp_dir", "none", "--out", "x"], "cmvn": ["none"],
        "tokens": ["--kind", "char", "--text", "none", "--out", "x"], "units": ["--tokens", "none", "--text", "none", "--out", "x"],
        "score": ["--ref", "none", "--hyp", "none", "--utt2spk", "none", "--out", "x"], "results": ["--out", "R.md", "none"],
        "validate_data": ["none"], "fix_data": ["none"],
    }[name]  # fmt: skip
    code = f"""
import sys
from speechlm.bin.main import main
code = main([{name!r}, *{given!r}])
print(code, sorted({{"torch", "transformers", "torchaudio"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip().endswith("1 []"), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith(f"speechlm {name}: "), done.stderr


def test_overview_lists_every_command_with_its_sentence() -> None:
    page = overview()
    assert all(f"  {name} " in page for name in names())


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decod"]) == 2
    assert "did you mean 'decode'?" in capsys.readouterr().err


def test_every_bin_module_is_a_command_or_a_known_helper() -> None:
    folder = Path(__file__).resolve().parents[2] / "speechlm/bin"
    helpers = {path.stem for path in folder.glob("*.py") if "def arguments(" not in path.read_text(encoding="utf-8")}
    assert {path.stem for path in folder.glob("*.py")} - helpers == set(names())
