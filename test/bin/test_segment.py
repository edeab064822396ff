"""`speechlm segment`: a sound data directory whose segments give back the recordings bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechlm.bin.main import main
from speechlm.io.datadir import DataDir, validate
from speechlm.io.tables import write_table

RATES = {"r1": 8000, "r10": 22050, "r2": 44100}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "long"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, rate in RATES.items():
        soundfile.write(folder / f"{name}.wav", 0.1 * random.standard_normal(int(7.123 * rate)), rate, subtype="PCM_16")
    write_table(folder / "wav.scp", {name: str(folder / f"{name}.wav") for name in RATES})
    write_table(folder / "utt2spk", {name: "r" for name in RATES})
    write_table(folder / "spk2utt", {"r": " ".join(sorted(RATES))})
    return folder


def segment(data: Path, *words: str) -> int:
    return main(["segment", str(data), f"{data.parent}/cut", *words])


def test_the_recordings_come_back_bit_for_bit(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(data, "--max_seconds", "2") == 0
    cut = DataDir(data.parent / "cut")
    assert validate(cut.path, need_text=False) == []
    for name in RATES:
        utts = [utt for utt in cut.ids() if utt.startswith(f"{name}-")]
        assert len(utts) >= 4 and all(cut.seconds()[utt] <= 2 for utt in utts)
        whole = np.concatenate([cut.audio(utt) for utt in utts])
        np.testing.assert_array_equal(whole, DataDir(data).audio(name))
    assert set(cut.utt2spk.values()) == {"r"}
    assert "3 recordings" in capsys.readouterr().err


def test_a_channel_stands_in_segments(data: Path) -> None:
    stereo = np.random.default_rng(1).standard_normal((3 * 8000, 2)) * 0.1
    soundfile.write(data / "r1.wav", stereo, 8000)
    for name in ("r10", "r2"):
        soundfile.write(data / f"{name}.wav", stereo, 8000)
    assert segment(data, "--max_seconds", "2") == 1
    assert segment(data, "--max_seconds", "2", "--channel", "1") == 0
    assert all(value.endswith(" 1") for value in DataDir(data.parent / "cut").segments.values())
    assert validate(data.parent / "cut", need_text=False) == []


def test_mistakes_are_told_and_nothing_is_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "r1.wav").write_bytes(b"")
    (data / "r2.wav").unlink()
    assert segment(data) == 1
    told = capsys.readouterr().err
    assert "r1.wav: the audio file is empty" in told and "r2.wav: no such audio file" in told
    assert main(["segment", str(data), str(data)]) == 1
    assert "is the directory that is read" in capsys.readouterr().err
    (data / "segments").write_text("a r1 0 1\n")
    assert segment(data) == 1
    assert "are cut already" in capsys.readouterr().err
    assert segment(data.parent) == 1
    assert "wav.scp: no such file" in capsys.readouterr().err
    assert not (data.parent / "cut").exists()
