"""`speechlm decode`: scores, times and speed, the same from one job and from two, and after a kill."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from speechlm.bin.main import main
from test.bin import experiments


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return experiments.make(tmp_path_factory.mktemp("times"), "ctc", "llm", "deaf")


def decode(folder: Path, name: str, tag: str, jobs: int, *words: str) -> Path:
    out = folder / f"exp/{name}/decode_{tag}"
    command = ["decode", "--exp", f"{folder}/exp/{name}", "--data", f"{folder}/data/dev", "--out", str(out), *words]
    for job in range(1, jobs + 1):
        assert main([*command, "--job", str(job), "--num_jobs", str(jobs)]) == 0
    assert main([*command, "--merge", str(jobs)]) == 0
    return out


@pytest.mark.parametrize("name", ["ctc", "llm"])
def test_two_jobs_give_what_one_gives_and_a_killed_one_goes_on(folder: Path, name: str) -> None:
    one = decode(folder, name, "one", 1, "--decode.times", "char")
    two = decode(folder, name, "two", 2, "--decode.times", "char")
    for file in ("text", "score", "ctm"):
        assert (one / file).read_text() == (two / file).read_text(), file
    part = one / "parts/1-of-1.jsonl"
    whole = part.read_text()
    part.write_text("".join(whole.splitlines(keepends=True)[:3]) + '{"id": "b-')
    before = (one / "ctm").read_text(), (one / "score").read_text()
    assert decode(folder, name, "one", 1, "--decode.times", "char") == one
    assert before == ((one / "ctm").read_text(), (one / "score").read_text())


@pytest.mark.parametrize("name", ["ctc", "llm"])
def test_what_is_written_agrees(folder: Path, name: str) -> None:
    out = decode(folder, name, "agree", 1, "--decode.times", "word")
    entries = [json.loads(line) for line in (out / "nbest.jsonl").open()]
    scores = dict(line.split() for line in (out / "score").open())
    texts = {line.split()[0]: line.split()[1:] for line in (out / "text").open()}
    said: dict[str, list[list[str]]] = {utt: [] for utt in texts}
    why = 0
    for line in (out / "ctm").open():
        if line.startswith(";;"):
            assert re.fullmatch(r";; \S+: \d+ units need \d+ encoder steps, there are \d+\n", line)
            why += 1
        else:
            utt, *fields = line.split()
            said[utt].append(fields)
    stats = json.loads((out / "stats.json").read_text())
    assert stats["untimed"] == why < len(entries)
    for entry in entries:
        assert float(scores[entry["id"]]) == pytest.approx(entry["nbest"][0]["score"], abs=1e-6)
        rows = said[entry["id"]]
        starts = [float(row[1]) for row in rows]
        assert starts == sorted(starts)
        assert all(row[0] == "1" and float(row[2]) > 0 and 0 <= float(row[4]) <= 1 for row in rows)
        assert all(float(row[1]) + float(row[2]) <= entry["seconds"] + 0.002 for row in rows)
        if name == "ctc" and isinstance(entry["times"], list):  # the head's own characters: the words are the text
            assert [row[3] for row in rows] == texts[entry["id"]]
        assert entry["spent"] == pytest.approx(sum(entry["phases"].values()))
    factors = stats["real_time_factor"]
    assert factors["all"] == pytest.approx(factors["encode"] + factors["prefill"] + factors["decode"], abs=1e-5)
    assert factors["encode"] > 0 and (factors["prefill"] > 0) == (name == "llm")


def test_without_a_trained_head_times_are_refused_before_anything_is_decoded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["decode", "--exp", f"{folder}/exp/deaf", "--data", f"{folder}/data/dev", "--out", f"{folder}/exp/deaf/d"]
    assert main([*command, "--decode.times", "word"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("speechlm decode: ")]
    assert len(lines) == 1 and "decode.times: the experiment has no trained CTC head" in lines[0]
    assert not Path(f"{folder}/exp/deaf/d").exists()
    assert main([*command, "--decode.times", "phones"]) == 1
    assert "decode.times" in capsys.readouterr().err


def test_merging_imports_no_torch(folder: Path) -> None:
    out = decode(folder, "ctc", "light", 1, "--decode.times", "word")
    words = ["decode", "--exp", f"{folder}/exp/ctc", "--data", f"{folder}/data/dev", "--out", str(out), "--merge", "1",
             "--decode.times", "word"]  # fmt: skip
    code = f"import sys; from speechlm.bin.main import main; print(main({words!r}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stdout
    assert re.search(r"real-time factor [\d.]+ \(encode [\d.]+, prefill 0\.0000, decode [\d.]+\)", done.stdout)
