"""RESULTS.md and egs/README.md: complete, kept, never invented."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.report.collect import collect
from speechlm.report.facts import facts_of
from speechlm.report.provenance import git_commit
from speechlm.report.results import UNKNOWN, decode_folders, markdown, read_table, write_results
from test.report.experiment import make_experiment, score_folder


@pytest.fixture
def exp(tmp_path: Path) -> Path:
    return make_experiment(tmp_path, audio=0)


def row_of(page: Path, title: str, place: int = 0) -> dict[str, str]:
    return read_table(page.read_text(), title)[place]


def test_everything_that_is_known_is_told(exp: Path, tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    assert main(["results", str(exp), "--out", str(page)]) == 0
    score = json.loads((exp / "decode_test/scoring.json").read_text())
    error = row_of(page, "Error rates")
    assert (error["set"], error["experiment"], error["decoding"], error["unit"]) == ("test", "x", "test", "word")
    assert error["error %"] == f"{score['rate']:.2f}"
    assert error["95 % interval"] == f"{score['interval'][0]:.2f} - {score['interval'][1]:.2f}"
    assert int(error["sub"]) + int(error["del"]) + int(error["ins"]) == score["errors"]
    assert (error["trained parameters"], error["all parameters"]) == ("1,000", "25,000")
    assert (error["training data"], error["RTF"], error["commit"]) == ("1.00 h, 2 utterances", "0.250", "0123456789")
    unspoken = row_of(page, "Text that was not spoken")
    assert (unspoken["loop"], unspoken["runaway"], unspoken["refusal"], unspoken["empty"]) == ("1", "1", "1", "1")
    made = row_of(page, "How the numbers were made")
    assert made["command"] == "`speechlm train --config conf/x.yaml --out exp/x`"
    assert made["decoding options"] == "beam=4 length_penalty=0.5"


def test_what_is_not_known_is_not_invented(exp: Path, tmp_path: Path) -> None:
    for name in ("model.json", "command.txt", "options.yaml", "decode_test/stats.json"):
        (exp / name).unlink()
    write_results(tmp_path / "RESULTS.md", decode_folders([exp]))
    error = row_of(tmp_path / "RESULTS.md", "Error rates")
    for name in ("training data", "trained parameters", "all parameters", "RTF"):
        assert error[name] == UNKNOWN
    made = row_of(tmp_path / "RESULTS.md", "How the numbers were made")
    assert (made["command"], made["decoding options"], made["tuned"]) == (UNKNOWN, UNKNOWN, "no")
    write_results(tmp_path / "RESULTS.md", decode_folders([exp]), command="./run.sh | tee log")
    assert row_of(tmp_path / "RESULTS.md", "How the numbers were made")["command"] == "`./run.sh | tee log`"


def test_tuned_options_are_told_and_whether_they_were_used(exp: Path) -> None:
    (exp / "tune_dev").mkdir()
    (exp / "tune_dev/best.yaml").write_text("decode: {beam: 4, length_penalty: 0.5}\n")
    assert facts_of(exp / "decode_test").tuned == "beam=4 length_penalty=0.5 (on dev)"
    (exp / "tune_dev/best.yaml").write_text("decode: {beam: 8}\n")
    assert facts_of(exp / "decode_test").tuned == "beam=8 (on dev, not used here)"


def test_text_and_rows_of_others_are_kept(exp: Path, tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    second = score_folder(tmp_path / "data/test", tmp_path / "exp/y/decode_test", errors=lambda place, words: words)
    write_results(page, decode_folders([exp, second.parent]))
    page.write_text(page.read_text().replace("# Results", "# Results of ours") + "\nIt failed once: see the log.\n")
    assert write_results(page, decode_folders([exp])) == 2  # y stays, though it is not looked at now
    text = page.read_text()
    assert text.startswith("# Results of ours") and text.endswith("\nIt failed once: see the log.\n")
    assert [row["experiment"] for row in read_table(text, "Error rates")] == ["y", "x"]  # the best of a set first
    assert write_results(page, decode_folders([exp]), keep=False) == 1
    before = page.read_text()
    write_results(page, decode_folders([exp]), keep=False)
    assert page.read_text() == before


def test_user_mistakes(exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], [str(tmp_path / "none")], [str(tmp_path / "data")], [str(exp), "--collect", "egs"]):
        assert main(["results", *arguments, "--out", str(tmp_path / "R.md")]) == 1
    assert "name the experiments" in capsys.readouterr().err
    (exp / "decode_test/scoring.json").write_text("{")
    with pytest.raises(UserError, match="is no JSON"):
        facts_of(exp / "decode_test")
    (tmp_path / "R.md").write_text("<!-- speechlm results: begin; what stands between the marks is written by the command -->")
    with pytest.raises(UserError, match="the mark .* is missing"):
        write_results(tmp_path / "R.md", [])


def test_tables_are_read_as_they_are_written() -> None:
    rows = [{"a": "x | y", "b": "`c`"}, {"a": "", "b": "2"}]
    assert read_table("## T\n\n" + markdown(["a", "b"], rows) + "\n## U\n", "T") == rows
    assert read_table("## T\nnothing\n", "T") == []


def test_the_best_of_all_recipes(exp: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "egs/mini/asr1"
    (recipe / "conf").mkdir(parents=True)
    (recipe / "run.sh").write_text("# as in 2312.03668\n")
    (recipe / "conf/y.yaml").write_text("# arXiv 2406.17272, section 3\n")
    second = score_folder(tmp_path / "data/test", tmp_path / "exp/y/decode_test", errors=lambda place, words: words)
    write_results(recipe / "RESULTS.md", decode_folders([exp, second.parent]))
    (tmp_path / "egs/other/asr1").mkdir(parents=True)
    assert main(["results", "--collect", str(tmp_path / "egs")]) == 0
    text = (tmp_path / "egs/README.md").read_text()
    assert "| [mini/asr1](mini/asr1/RESULTS.md) | [2406.17272](https://arxiv.org/abs/2406.17272) | test | word | 0.00" in text
    (recipe / "conf/y.yaml").write_text("encoder: {kind: conformer}\n")
    collect(tmp_path / "egs")
    text = (tmp_path / "egs/README.md").read_text()
    assert "2312.03668" in text and "2406.17272" not in text
    with pytest.raises(UserError, match="holds no recipe"):
        collect(tmp_path / "data")


def test_commit_of_a_working_copy(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", "one"]):
        (tmp_path / "file").write_text("1")
        subprocess.run([*git, *command], check=True, capture_output=True)
    commit = git_commit(tmp_path)
    assert commit and len(commit) == 10
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == f"{commit}+"
