"""A decode folder scored as the recipes do it: the command, scoring.json, Mandarin, non-speech."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.scoring.score import Settings, score, silence_seconds, summary
from test.paths import ROOT

REF = "u1 今天 天气 很 好\nu2 他 是 老师\nu3 Ｗｉｆｉ 很 快\nu4\nu5 再见\n"
HYP = "u1 今天天汽很好\nu2 她是老师\nu3 WIFI很快\nu4 谢谢谢谢观看\n"
SPK = "".join(f"u{number} s{number % 2}\n" for number in range(1, 6))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data, out = tmp_path / "data/test", tmp_path / "exp/x/decode_test"
    data.mkdir(parents=True)
    out.mkdir(parents=True)
    (data / "text").write_text(REF)
    (data / "utt2spk").write_text(SPK)
    (data / "utt2dur").write_text("".join(f"u{number} 30\n" for number in range(1, 6)))
    (out / "text").write_text(HYP)
    return tmp_path


def run(folder: Path, *more: str) -> int:
    out = folder / "exp/x/decode_test"
    return main(["score", "--ref", str(folder / "data/test/text"), "--hyp", str(out / "text"), "--out", str(out),
                 "--unit", "char", "--language", "zh", *more])  # fmt: skip


def test_the_command_scores_mandarin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--tag", "beam4") == 0
    out = folder / "exp/x/decode_test"
    line = "%WER 55.56 [ 10 / 18, 6 ins, 2 del, 2 sub ] [PARTIAL]"
    assert capsys.readouterr().out.splitlines()[0] == f"{line} {out}/cer_beam4"
    assert (out / "scoring_kaldi/best_cer").read_text() == f"{line} {out}/cer_beam4\n"
    found = json.loads((out / "scoring.json").read_text())
    assert (found["set"], found["unit"], found["missing"], found["rate"]) == ("test", "char", 1, 55.5556)
    assert found["homophones"] == {
        "substitutions": 2, "same_syllable": 2, "same_tone": 2,
        "pairs": [["他", "她", 1, "ta1", True], ["气", "汽", 1, "qi4", True]],
    }  # fmt: skip
    apart = found["insertions_apart"]
    assert apart["classes"]["silence"] == 1 and apart["classes"]["empty"] == 1
    assert apart["silence_units_per_minute"] == 12.0  # six characters in half a minute
    assert (out / "scoring_kaldi/cer_details/classes").read_text() == "u4 silence loop\nu5 empty\n"  # thanks, four times
    assert (out / "scoring_kaldi/test_filt.txt").read_text().splitlines()[2] == "u3 W I F I 很 快"
    assert "SPKR" in (out / "scoring_sclite/result.txt").read_text()


def test_mixed_counts_latin_words_whole(folder: Path) -> None:
    (folder / "exp/x/decode_test/text").write_text("u3 WIFY 很 快\n")
    run(folder, "--unit", "mixed")
    best = (folder / "exp/x/decode_test/scoring_kaldi/best_cer").read_text()
    assert " 1 sub ]" in best and "/ 15," in best


def test_a_mistake_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(folder / "exp/x/decode_test/text", "a") as file:
        file.write("u9 who\n")
    assert run(folder) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("speechlm score: ") and "text:5: hypothesis 'u9' has no reference" in error[-1]
    assert not (folder / "exp/x/decode_test/scoring.json").exists()
    assert run(folder, "--tag", "a/b") == 1


def test_the_prompt_of_the_experiment_is_looked_for(folder: Path) -> None:
    (folder / "exp/x/prompt.json").write_text(json.dumps({"template": "<s>{speech}请转写音频为文字[SEP]{text}</s>"}))
    (folder / "exp/x/decode_test/text").write_text("u1 请转写音频今天天气很好\n")
    run(folder)
    assert "prompt_leak" in (folder / "exp/x/decode_test/scoring_kaldi/cer_details/classes").read_text()


def test_scoring_needs_no_torch(folder: Path) -> None:
    out = folder / "exp/x/decode_test"
    code = f"""
import sys
from speechlm.bin.main import main
main(["score", "--ref", {str(folder / "data/test/text")!r}, "--hyp", {str(out / "text")!r}, "--out", {str(out)!r}])
sys.exit(len({{"torch", "transformers", "matplotlib"}} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode == 0


def test_durations_of_silence(tmp_path: Path) -> None:
    (tmp_path / "utt2dur").write_text("u1 1.5\nu2 2\nu3 x\n")
    assert silence_seconds(tmp_path / "utt2dur", {"u1", "u2"}) == 3.5
    assert silence_seconds(tmp_path / "utt2dur", {"u1", "u7"}) is None
    assert silence_seconds(None, {"u1"}) is None
    with pytest.raises(UserError, match="utt2dur:3: 'x' is not a duration"):
        silence_seconds(tmp_path / "utt2dur", {"u3"})


@pytest.mark.parametrize(("hyps", "line"), [
    ("n1\nn2\n", "%WER 0.00 [ 0 / 0, 0 ins, 0 del, 0 sub ]"),
    ("n1 thank you\nn2\n", "%WER inf [ 2 / 0, 2 ins, 0 del, 0 sub ]"),
])  # fmt: skip
def test_a_set_of_non_speech(tmp_path: Path, hyps: str, line: str) -> None:
    (tmp_path / "ref").write_text("n1\nn2\n")
    (tmp_path / "hyp").write_text(hyps)
    (tmp_path / "utt2dur").write_text("n1 30\nn2 30\n")
    settings = Settings(utt2dur=tmp_path / "utt2dur")
    found = score(tmp_path / "ref", tmp_path / "hyp", tmp_path / "out", None, settings)
    assert found.line == f"{line} {tmp_path}/out/wer_best"
    made = json.loads(json.dumps(summary(found, settings, {}), allow_nan=False))
    assert made["insertions_apart"]["silence_units_per_minute"] == found.tally.insertions
    assert made["rate"] == (None if found.tally.insertions else 0.0)


def test_many_chunks_are_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for size in (1, 1000):
        monkeypatch.setattr("speechlm.scoring.score.CHUNK", size)
        out = folder / f"out{size}"
        score(folder / "data/test/text", folder / "exp/x/decode_test/text", out, folder / "data/test/utt2spk",
              Settings(unit="char", language="zh", sclite="never"))  # fmt: skip
        texts.append({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    names = set(texts[0]) - {"scoring_kaldi/best_cer"}
    assert all(texts[0][name] == texts[1][name] for name in names) and len(names) > 8
