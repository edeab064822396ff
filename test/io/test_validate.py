"""Every fault of a data directory, with file, line and rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.io.datadir import validate
from test.io.datadirs import RATE, edit, make_dir, tone


def found(folder: Path, **options: bool) -> set[tuple[str, int, str]]:
    """(file, line, rule) of every fault."""
    return {(Path(fault.file).name, fault.line, fault.rule) for fault in validate(folder, **options)}


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("feats", [False, True])
def test_sound_directory_has_no_fault(tmp_path: Path, segments: bool, feats: bool) -> None:
    assert validate(make_dir(tmp_path / "d", segments=segments, feats=feats), need_feats=feats, warnings=True) == []


CASES: list[tuple[str, str, str, tuple[str, int, str]]] = [
    ("text", "a-2 words", "a-2 w\udcff", ("text", 2, "utf-8")),
    ("text", "of b-1\n", "of b-1\r\n", ("text", 3, "line-end")),
    ("text", "a-1 words", "\ufeffa-1 words", ("text", 1, "byte-order-mark")),
    ("text", "b-1 words of b-1\n", "b-1\n", ("text", 3, "empty-text")),
    ("text", "b-1 words of b-1\n", "b-1 words of\u3000b-1\n", ("text", 3, "wide-blank")),
    ("text", "words of b-1\n", "words <s> of b-1\n", ("text", 3, "reserved-word")),
    ("text", "words of b-2\n", "words of b-2", ("text", 4, "last-newline")),
    ("text", "a-2 words of a-2\n", "a-2 words of a-2\na-2 again\n", ("text", 3, "duplicate-id")),
    ("text", "a-1 words of a-1\na-2 words of a-2\n", "a-2 words of a-2\na-1 words of a-1\n", ("text", 2, "order")),
    ("text", "a-1 words of a-1\n", "a-1 words of a-1\n\n", ("text", 2, "empty-line")),
    ("text", "a-1 words of a-1\n", "", ("text", 0, "missing-id")),
    ("text", "b-1 words", "b-0 words", ("text", 3, "unknown-id")),
    ("text", "a-1 words", "a/1 words", ("text", 1, "id-slash")),
    ("text", "a-1 words", "a-\x021 words", ("text", 1, "id-control")),
    ("utt2spk", "a-2 a\n", "a-2\n", ("utt2spk", 2, "missing-value")),
    ("utt2spk", "a-2 a\n", "a-2 a a\n", ("utt2spk", 2, "value")),
    ("utt2spk", "a-2 a\n", "a-2\ta\n", ("utt2spk", 2, "blanks")),
    ("utt2spk", "a-2 a\n", "a-2 a \n", ("utt2spk", 2, "blanks")),
    ("utt2spk", "a-2 a\n", " a-2 a\n", ("utt2spk", 2, "blanks")),
    ("spk2utt", "b b-1 b-2\n", "b b-2 b-3\n", ("spk2utt", 2, "spk2utt")),
    ("spk2utt", "b b-1 b-2\n", "b b-1 b-1 b-2\n", ("spk2utt", 2, "spk2utt")),
    ("spk2utt", "b b-1 b-2\n", "b b-1\n", ("spk2utt", 0, "spk2utt")),
    ("utt2dur", "a-1 0.500", "a-1 nan", ("utt2dur", 1, "value")),
    ("utt2dur", "a-1 0.500", "a-1 -0.5", ("utt2dur", 1, "value")),
    ("utt2dur", "a-1 0.500", "a-1 0", ("utt2dur", 1, "value")),
    ("utt2dur", "a-1 0.500", "a-1 0.700", ("utt2dur", 1, "duration")),
    ("utt2num_frames", "a-1 10", "a-1 11", ("feats.scp", 1, "frames")),
    ("utt2num_frames", "a-1 10", "a-1 0", ("utt2num_frames", 1, "value")),
    ("utt2num_frames", "a-1 10", "a-1 x", ("utt2num_frames", 1, "value")),
    ("feats.scp", "feats.ark:4", "none.ark:4", ("feats.scp", 1, "features")),
    ("feats.scp", "feats.ark:4", "feats.ark:5", ("feats.scp", 1, "features")),
]
SEGMENT_CASES: list[tuple[str, str, str, tuple[str, int, str]]] = [
    ("segments", "0.50 1.10", "1.10 0.50", ("segments", 2, "value")),
    ("segments", "0.50 1.10", "0.50 nan", ("segments", 2, "value")),
    ("segments", "0.50 1.10", "0.50", ("segments", 2, "value")),
    ("segments", "0.50 1.10", "0.50 9.10", ("segments", 2, "segment-end")),
    ("segments", "0.50 1.10", "7.50 -1", ("segments", 2, "segment-end")),
    ("segments", "0.50 1.10", "0.50 1.10 1", ("segments", 2, "channels")),
    ("segments", "a-2 rec-a", "a-2 rec-c", ("wav.scp", 0, "missing-id")),
    ("wav.scp", "rec-a", "rec-c", ("wav.scp", 1, "unknown-id")),
]


def check(folder: Path, case: tuple[str, str, str, tuple[str, int, str]]) -> None:
    name, old, new, fault = case
    data = (folder / name).read_bytes()
    assert old.encode() in data
    (folder / name).write_bytes(data.replace(old.encode(), new.encode("utf-8", "surrogateescape"), 1))
    assert fault in found(folder)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[3][2]}-{case[0]}")
def test_each_rule(tmp_path: Path, case: tuple[str, str, str, tuple[str, int, str]]) -> None:
    check(make_dir(tmp_path / "d", feats=True), case)


@pytest.mark.parametrize("case", SEGMENT_CASES, ids=lambda case: f"{case[3][2]}-{case[0]}")
def test_each_rule_of_segments(tmp_path: Path, case: tuple[str, str, str, tuple[str, int, str]]) -> None:
    check(make_dir(tmp_path / "d", segments=True), case)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    edit(folder / "text", "a-2 words of a-2\n", "a-2\n")
    edit(folder / "text", "of b-1\n", "of b-1\r\n")
    edit(folder / "utt2spk", "b-2 b\n", "b-2 b c\n")
    edit(folder / "segments", "0.50 1.10", "1.10 0.50")
    (folder / "spk2utt").unlink()
    faults = found(folder)
    expected = {("text", 2, "empty-text"), ("text", 3, "line-end"), ("utt2spk", 4, "value"), ("segments", 2, "value")}
    assert expected | {("spk2utt", 0, "missing-file")} <= faults


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda path: path.unlink(), "audio"),
        (lambda path: path.write_bytes(b""), "audio"),
        (lambda path: path.write_bytes(b"no sound"), "audio"),
        (lambda path: soundfile.write(path, tone(0)[:0], RATE), "audio"),
        (lambda path: soundfile.write(path, np.stack([tone(0.5)] * 2, axis=1), RATE), "channels"),
    ],
)
def test_audio(tmp_path: Path, spoil: Callable[[Path], object], rule: str) -> None:
    folder = make_dir(tmp_path / "d")
    spoil(folder / "a-1.wav")
    assert found(folder) == {("wav.scp", 1, rule)}
    assert found(folder, check_audio=False) == set()


def test_stereo_with_channel_is_sound(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    soundfile.write(folder / "rec-a.wav", np.stack([tone(1.1)] * 2, axis=1), RATE)
    assert ("wav.scp", 1, "channels") in found(folder)
    edit(folder / "segments", "0.00 0.50", "0.00 0.50 1")
    edit(folder / "segments", "0.50 1.10", "0.50 1.10 0")
    assert found(folder) == set()


def test_pipes(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    edit(folder / "wav.scp", f"a-1 {folder}/a-1.wav", f"a-1 cat {folder}/a-1.wav |")
    assert found(folder) == {("wav.scp", 1, "pipe")}
    assert found(folder, allow_pipes=True) == set()


def test_archive_cut_short(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", feats=True)
    data = (folder / "feats.ark").read_bytes()
    (folder / "feats.ark").write_bytes(data[:-50])
    assert found(folder) == {("feats.scp", 4, "features")}


def test_needed_files(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    for name in ("text", "wav.scp"):
        (folder / name).unlink()
    assert found(folder, need_feats=True) == {(name, 0, "missing-file") for name in ("text", "wav.scp", "feats.scp")}
    assert found(folder, need_text=False, need_wav=False) == set()
    for name in ("utt2spk", "spk2utt", "utt2dur"):
        (folder / name).write_text("")
    empty = {("utt2spk", 0, "empty-file"), ("spk2utt", 0, "empty-file")}
    assert found(folder, need_text=False, need_wav=False) == empty


def test_empty_text_where_allowed(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    edit(folder / "text", "a-2 words of a-2\n", "a-2\n")
    assert found(folder) == {("text", 2, "empty-text")} and found(folder, allow_empty_text=True) == set()


def test_speaker_order_is_a_warning(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    (folder / "utt2spk").write_text("a-1 z\na-2 z\nb-1 y\nb-2 y\n")
    (folder / "spk2utt").write_text("y b-1 b-2\nz a-1 a-2\n")
    assert found(folder) == set() and found(folder, warnings=True) == {("utt2spk", 3, "speaker-prefix")}


TABLES = ["utt2spk", "spk2utt", "text", "wav.scp", "segments", "utt2dur"]


@given(st.sampled_from(TABLES), st.binary(max_size=50), st.integers(0, 60))
@settings(max_examples=120, deadline=None)
def test_any_bytes_give_faults_not_traces(shared_dir: Path, name: str, junk: bytes, place: int) -> None:
    good = (shared_dir / name).read_bytes()
    try:
        (shared_dir / name).write_bytes(good[:place] + junk + good[place:])
        for fault in validate(shared_dir, check_audio=False, warnings=True):
            assert str(fault).startswith(str(shared_dir)) and fault.fix and "\n" not in str(fault)
    finally:
        (shared_dir / name).write_bytes(good)


@pytest.fixture(scope="module")
def shared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dir(tmp_path_factory.mktemp("v") / "d", segments=True)
