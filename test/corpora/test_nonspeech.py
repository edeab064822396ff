"""Data directories of sound without words, from tiny MUSAN and ESC-50 trees and from real noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.bin.main import main
from speechlm.core.errors import UserError
from speechlm.corpora.nonspeech import Sound, pieces, sounds_of_esc50, sounds_of_musan, sounds_of_table, split_sounds
from speechlm.io.datadir import DataDir, validate
from test.corpora.miniature import sound, write
from test.paths import shared


def musan(folder: Path) -> Path:
    """The published tree; its speech must never be taken."""
    for kind, name in (
        ("noise", "noise-free-sound-0000"),
        ("music", "music-fma-0000"),
        ("speech", "speech-us-gov-0000"),
    ):
        sound(folder / "musan" / kind / "some" / f"{name}.wav", seconds=7.3)
    return folder


def esc50(folder: Path) -> Path:
    """Two recordings of two clips each."""
    for name in ("1-100032-A-0", "1-100032-B-0", "5-9032-A-0", "5-9032-B-0"):
        sound(folder / "audio" / f"{name}.wav", seconds=5.0)
    write(folder / "audio" / "readme.txt", "not a sound")
    return folder


def test_layouts(tmp_path: Path) -> None:
    found = list(sounds_of_musan(musan(tmp_path)))
    assert [s.id for s in found] == ["noise-free-sound-0000", "music-fma-0000"]
    assert [s.id for s in sounds_of_esc50(esc50(tmp_path))] == [
        "1-100032-A-0",
        "1-100032-B-0",
        "5-9032-A-0",
        "5-9032-B-0",
    ]
    table = write(tmp_path / "noise.scp", "a audio/5-9032-A-0.wav", f"b {tmp_path}/audio/5-9032-B-0.wav")
    assert [s.path.exists() for s in sounds_of_table(table)] == [True, True]
    with pytest.raises(UserError, match="give the folder of ESC-50"):
        list(sounds_of_esc50(tmp_path / "musan"))


def test_pieces_cover_their_sounds_and_depend_on_seed_and_name_only(tmp_path: Path) -> None:
    sounds = list(sounds_of_musan(musan(tmp_path)))
    found = pieces(sounds, (1.0, 3.0), 0.0, 1)
    assert all(1.0 <= p.end - p.start <= 3.0 and p.text == "" for p in found)
    for one in sounds:
        mine = (
            sorted(p.start for p in found if p.recording == one.id),
            sorted(p.end for p in found if p.recording == one.id),
        )
        assert mine[0][0] == 0 and mine[0][1:] == mine[1][:-1] and 7.3 - mine[1][-1] < 1.0
    assert pieces(sounds[::-1], (1.0, 3.0), 0.0, 1) == found
    assert pieces(sounds, (1.0, 3.0), 0.0, 2) != found
    some = pieces(sounds, (1.0, 3.0), 5 / 3600, 1)
    assert some == found[: len(some)] and 5 <= sum(p.end - p.start for p in some) < 8
    with pytest.raises(UserError, match=r"there are 0\.00\d hours of sound .* ask for no more"):
        pieces(sounds, (1.0, 3.0), 1.0, 1)
    with pytest.raises(UserError, match="0.000 hours of sound in pieces of at least 9 s"):
        pieces(sounds, (9.0, 20.0), 0.0, 1)
    for wrong in ((3.0, 1.0), (0.0, 1.0)):
        with pytest.raises(UserError, match="--seconds: must be LOW-HIGH"):
            pieces(sounds, wrong, 0.0, 1)


def test_clips_of_one_recording_stay_on_one_side() -> None:
    sounds = [Sound(f"esc10_dog_1-{number}-{take}", Path("x")) for number in range(20) for take in "ABC"]
    for seed in range(5):
        train, test = split_sounds(sounds, 0.2, seed)
        assert len(train) == 48 and len(test) == 12
        assert not {s.origin for s in train} & {s.origin for s in test}
    assert split_sounds(sounds, 0.0, 1) == (sorted(sounds, key=lambda s: s.id), [])
    with pytest.raises(UserError, match="'esc10_dog_1-0-A' comes twice"):
        split_sounds([sounds[0], sounds[0]], 0.2, 1)
    with pytest.raises(UserError, match="too few to train and test on"):
        split_sounds(sounds[:3], 0.2, 1)


def test_the_command_writes_both_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    musan(tmp_path)
    esc50(tmp_path)
    sound(tmp_path / "stereo.wav", channels=2, seconds=2.0)
    table = write(tmp_path / "noise.scp", "two stereo.wav")
    words = ["nonspeech", "--musan", tmp_path, "--esc50", tmp_path, "--noise_scp", table, "--seconds", "1-4"]
    assert main([str(word) for word in [*words, "--out", tmp_path / "data/nonspeech"]]) == 0
    train, test = DataDir(tmp_path / "data/nonspeech"), DataDir(tmp_path / "data/nonspeech_test")
    for data in (train, test):
        assert validate(data.path, allow_empty_text=True) == [] and set(data.text.values()) == {""}
        assert all(len(data.audio(utt, 16000)) >= 16000 for utt in data.ids())
    assert not set(train.wav_scp) & set(test.wav_scp)
    assert "speech-us-gov-0000" not in {**train.wav_scp, **test.wav_scp}
    before = (train.path / "segments").read_text()
    assert main([str(word) for word in [*words, "--out", tmp_path / "again/nonspeech"]]) == 0
    assert (tmp_path / "again/nonspeech/segments").read_text() == before
    capsys.readouterr()
    for wrong, message in (
        (["nonspeech"], "give sounds"),
        ([*words, "--seconds", "one"], "must be LOW-HIGH as in 1-20"),
    ):
        assert main([str(word) for word in wrong]) == 1
        assert message in capsys.readouterr().err


def test_real_noise(tmp_path: Path) -> None:
    table = shared("data/noise_music_rir/noise.scp")
    train, test = split_sounds(sounds_of_table(table), 0.2, 1)
    assert len(train) + len(test) == 122 and not {s.origin for s in train} & {s.origin for s in test}
    found = pieces(test, (1.0, 20.0), 0.0, 1)
    assert sum(p.end - p.start for p in found) > 60
