"""From a data directory to archives: shares, segments, counted skips; and the commands on top."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from speechlm.bin import cmvn, fbank, fix_data, utt2dur, validate_data
from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.features.cmvn import CmvnStats, load_per_speaker
from speechlm.features.extract import Job, extract, features_of
from speechlm.features.fbank import Fbank
from speechlm.io.datadir import DataDir
from speechlm.io.tables import read_table, write_table
from test.io.datadirs import RATE, edit, make_dir, tone

OPTIONS = ["--rate", str(RATE), "--num_mels", "20"]


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("num_jobs", [1, 3, 5])
def test_jobs_together_have_every_utterance_once(tmp_path: Path, segments: bool, num_jobs: int) -> None:
    folder = make_dir(tmp_path / "d", segments=segments)
    found: dict[str, np.ndarray] = {}
    frames: dict[str, str] = {}
    for job in range(1, num_jobs + 1):
        place = ["--scp_dir", folder, "--out", tmp_path / "f"]
        assert run("fbank", *place, "--job", job, "--num_jobs", num_jobs, *OPTIONS) == 0
        share = kaldiio.load_scp(str(tmp_path / "f" / f"fbank_d.{job}.scp"))
        assert not found.keys() & share.keys()
        found.update({utt: share[utt] for utt in share})
        frames.update(read_table(tmp_path / "f" / f"fbank_d.{job}.utt2num_frames"))
    data = DataDir(folder)
    assert list(found) == data.ids()
    for utt, matrix in found.items():
        np.testing.assert_array_equal(matrix, Fbank(rate=RATE, num_mels=20)(data.audio(utt)))
        assert frames[utt] == str(len(matrix))


def test_list_of_utterances_names_and_flags(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    (tmp_path / "list").write_text("b-2 x\na-1\n")
    assert run("fbank", "--scp_dir", folder, "--out", tmp_path / "f", "--list", tmp_path / "list", "--name", "part",
               "--write_utt2num_frames", "false", "--compress", 2, *OPTIONS) == 0  # fmt: skip
    assert list(read_table(tmp_path / "f" / "fbank_part.1.scp")) == ["a-1", "b-2"]
    assert sorted(os.listdir(tmp_path / "f")) == ["fbank_part.1.ark", "fbank_part.1.json", "fbank_part.1.scp"]


def test_options_come_from_yaml_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("features: {rate: 8000, num_mels: 30, cmvn: global}\ntext: {language: en}\n")
    assert features_of(str(tmp_path / "x.yaml"), {}).dim == 30
    assert features_of(str(tmp_path / "x.yaml"), {"num_mels": 25, "job": 1}).dim == 25
    (tmp_path / "y.yaml").write_text("features:\n  rate: 8000\n  num_mel: 30\n")
    with pytest.raises(UserError, match=r"y\.yaml:3: features.num_mel: unknown option; did you mean 'num_mels'"):
        features_of(str(tmp_path / "y.yaml"), {})


@pytest.fixture
def bad_folder(tmp_path: Path) -> Path:
    """Of 24 utterances: unreadable, missing, empty, NaN, too short, stereo, of a lower rate."""
    folder = tmp_path / "bad"
    folder.mkdir()
    table = {}
    for i in range(24):
        table[f"u{i:02d}"] = str(folder / f"u{i:02d}.wav")
        soundfile.write(table[f"u{i:02d}"], tone(0.1), RATE, subtype="FLOAT")
    (folder / "u00.wav").write_bytes(b"no sound")
    (folder / "u01.wav").unlink()
    soundfile.write(table["u02"], tone(0), RATE)
    soundfile.write(table["u03"], np.where(np.arange(800) == 5, np.nan, tone(0.1)), RATE, subtype="FLOAT")
    soundfile.write(table["u04"], tone(0.02), RATE)
    soundfile.write(table["u05"], np.stack([tone(0.1)] * 2, axis=1), RATE)
    soundfile.write(table["u06"], tone(0.1), RATE // 2)
    write_table(folder / "wav.scp", table)
    return folder


def test_bad_utterances_are_counted_named_and_left_out(
    bad_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("speechlm"), "propagate", True)
    fbank_of = Fbank(rate=RATE, num_mels=20)
    paths = {"ark": str(tmp_path / "a.ark"), "scp": str(tmp_path / "a.scp")}
    with caplog.at_level(logging.INFO, "speechlm"):
        assert extract(fbank_of, Job(str(bad_folder)), **paths, max_skip_share=0.3) == 17
    assert len(read_table(paths["scp"])) == 17
    text = caplog.text
    for utt, why in (
        ("u00", "not readable"), ("u01", "no such audio file"), ("u02", "no samples"), ("u03", "NaN"),
        ("u04", "too short: 0.020 s, one frame needs 0.025 s"), ("u05", "2 channels"), ("u06", "sampled at 4000 Hz"),
    ):  # fmt: skip
        line = next(line for line in text.splitlines() if f"skipped {utt}" in line)
        assert why in line or (utt == "u00" and "ffmpeg" in line)
    assert "17 utterances, 7 skipped" in text


def test_too_many_bad_utterances_write_nothing(
    bad_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fbank", "--scp_dir", bad_folder, "--out", tmp_path / "f", *OPTIONS) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "7 of 24 utterances are bad, more than --max_skip_share 0.05: u00, u01, u02, u03, u04, u05, u06" in error
    assert os.listdir(tmp_path / "f") == []


def test_lower_rate_only_where_allowed_higher_rate_always(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    paths = {"ark": str(tmp_path / "a.ark"), "scp": str(tmp_path / "a.scp")}
    assert extract(Fbank(rate=16000), Job(str(folder)), **paths, allow_upsample=True) == 4
    assert extract(Fbank(rate=4000, num_mels=10), Job(str(folder)), **paths) == 4
    with pytest.raises(UserError, match="4 of 4 utterances are bad"):
        extract(Fbank(rate=16000), Job(str(folder)), **paths)


def test_pipes(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    table = read_table(folder / "wav.scp")
    write_table(folder / "wav.scp", {utt: f"cat {path} |" for utt, path in table.items()})
    command = ["fbank", "--scp_dir", folder, "--out", tmp_path / "f", *OPTIONS]
    assert run(*command) == 1
    assert run(*command, "--allow_pipes") == 0


def test_jobs_out_of_range(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    for job, num_jobs in ((0, 2), (3, 2)):
        with pytest.raises(UserError, match="--job"):
            Job(str(folder), None, job, num_jobs).ids(DataDir(folder))


def test_disk_full_leaves_nothing(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    with pytest.raises(UserError, match="/dev/full: cannot be written"):
        extract(Fbank(rate=RATE, num_mels=20), Job(str(folder)), ark="/dev/full", scp=str(tmp_path / "f" / "a.scp"))
    assert os.listdir(tmp_path / "f") == []


def test_cmvn_command(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", feats=True)
    assert run("cmvn", folder, "--per_spk") == 0
    total = CmvnStats.load(folder / "cmvn.ark")
    assert total.count == 40 and total.mean() == pytest.approx([0.65] * 3)
    speakers = load_per_speaker(folder / "cmvn_per_spk.ark")
    assert speakers["a"].mean() == pytest.approx([0.55] * 3)
    assert CmvnStats.load(read_table(folder / "cmvn.scp")["b"]).count == 20
    (folder / "cmvn.ark").unlink()
    assert run("cmvn", folder, "--out", tmp_path / "other") == 0 and not (folder / "cmvn.ark").exists()
    np.testing.assert_allclose(CmvnStats.load(tmp_path / "other").sums, total.sums)
    (folder / "feats.scp").unlink()
    assert run("cmvn", folder) == 1


def test_utt2dur_command(tmp_path: Path) -> None:
    for segments in (False, True):
        folder = make_dir(tmp_path / f"d{segments}", segments=segments)
        (folder / "utt2dur").unlink()
        assert run("utt2dur", folder) == 0
        assert read_table(folder / "utt2dur") == {"a-1": "0.5000", "a-2": "0.6000", "b-1": "0.7000", "b-2": "0.8000"}


def test_validate_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_dir(tmp_path / "d")
    assert run("validate_data", folder) == 0
    assert capsys.readouterr().out == f"{folder}: valid\n"
    (folder / "text").write_text("".join(f"x{i:02d} words\n" for i in range(30)))
    (folder / "utt2spk").write_text("a-1 z\na-2 z\nb-1 y\nb-2 y\n")
    (folder / "spk2utt").write_text("y b-1 b-2\nz a-1 a-2\n")
    assert run("validate_data", folder, "--per_rule", 5) == 1
    lines = capsys.readouterr().err.splitlines()
    assert sum("[unknown-id]" in line for line in lines) == 5 and sum("[missing-id]" in line for line in lines) == 4
    assert f"{folder}: 25 more faults of the rule unknown-id" in lines
    assert sum(line.startswith("warning: ") for line in lines) == 1
    assert lines[-1].startswith(f"{folder}: 34 faults; utils/fix_data_dir.sh {folder}")
    assert f"{folder}/text:1: utterance 'x00' is not in utt2spk; run utils/fix_data_dir.sh [unknown-id]" in lines


def test_fix_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_dir(tmp_path / "d")
    assert run("fix_data", folder) == 0
    assert capsys.readouterr().out == f"{folder}: nothing to mend, 4 utterances\n"
    edit(folder / "text", "a-2 words of a-2\n", "")
    assert run("fix_data", folder) == 0
    out = capsys.readouterr().out
    assert "utt2spk: dropped 'a-2': not in each of utt2spk, text, wav.scp" in out
    assert f"{folder}: 3 utterances left; the old files are in {folder}/.backup" in out
    assert run("validate_data", folder) == 0
    assert run("fix_data", tmp_path / "none") == 1


def test_commands_start_without_torch(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    code = (
        "import sys\nfrom speechlm.bin.main import main\n"
        f"assert main('fbank --scp_dir {folder} --out {tmp_path}/f --rate 8000 --num_mels 20'.split()) == 0\n"
        f"assert main(['validate_data', '{folder}']) == 0\n"
        "assert not {'torch', 'transformers', 'scipy.signal'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [cmvn, fbank, fix_data, utt2dur, validate_data])
def test_modules_have_one_sentence(module: object) -> None:
    assert (module.__doc__ or "").strip().endswith(".") and "\n" not in (module.__doc__ or "").strip()
