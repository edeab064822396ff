"""Mending: afterwards the directory is valid, what was dropped is told, and the old files are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.io.datadir import DataDir, fix, validate
from test.io.datadirs import edit, make_dir


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("segments", [False, True])
def test_sound_directory_stays_as_it_is(tmp_path: Path, segments: bool) -> None:
    folder = make_dir(tmp_path / "d", segments=segments, feats=True)
    before = snapshot(folder)
    assert fix(folder) == [] and snapshot(folder) == before and not (folder / ".backup").exists()


def test_everything_at_once(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    old_text = "b-2 four\r\na-1 one\r\na-2  two \r\na-1 again\r\nb-1\r\n"
    (folder / "text").write_bytes(b"\xef\xbb\xbf" + old_text.encode())
    edit(folder / "segments", "0.50 1.10", "0.50 9.10")
    edit(folder / "utt2spk", "a-2 a\n", "\ta-2\ta \n\n")
    (folder / "spk2utt").unlink()
    notes = fix(folder)
    assert validate(folder, warnings=True) == []
    assert (folder / "text").read_text() == "a-1 one\na-2 two\nb-2 four\n"
    assert (folder / "spk2utt").read_text() == "a a-1 a-2\nb b-2\n"
    assert DataDir(folder).segments == {"a-1": "rec-a 0.00 0.50", "a-2": "rec-a 0.50 1.100", "b-2": "rec-b 0.70 1.50"}
    assert (folder / ".backup" / "text").read_bytes() == b"\xef\xbb\xbf" + old_text.encode()
    for part in (
        "text:1: removed the byte order mark",
        "text: changed Windows line ends",
        "text:4: dropped the second 'a-1' ('again')",
        "text:5: dropped 'b-1': no transcript",
        "segments: cut 'a-2' at its recording's end",
        "utt2spk: dropped 'b-1': not in each of",
        "spk2utt: made again",
    ):
        assert any(part in note for note in notes), (part, notes)
    assert fix(folder) == []


def test_wide_blanks_and_empty_text_where_allowed(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    edit(folder / "text", "words of a-1", "今天\u3000天气\u00a0好")
    edit(folder / "text", "a-2 words of a-2", "a-2")
    notes = fix(folder, allow_empty_text=True)
    assert DataDir(folder).text == {"a-1": "今天 天气 好", "a-2": "", "b-1": "words of b-1", "b-2": "words of b-2"}
    assert len(notes) == 1 and "changed wide blanks of 'a-1'" in notes[0]


def test_utterances_without_audio_or_features_go(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", feats=True)
    (folder / "a-1.wav").unlink()
    (folder / "a-2.wav").write_bytes(b"no sound")
    edit(folder / "feats.scp", "b-1 ", "c-1 ")
    (folder / "spk2gender").write_text("a f\nb m\n")
    notes = fix(folder)
    assert validate(folder, need_feats=True) == []
    assert DataDir(folder).ids() == ["b-2"]
    assert (folder / "spk2gender").read_text() == "b m\n"
    assert any("wav.scp:1: dropped 'a-1'" in note and "no such audio file" in note for note in notes)


def test_tables_that_can_be_made_again_do_not_cost_utterances(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    edit(folder / "utt2dur", "a-1 0.500", "a-1 nan")
    notes = fix(folder)
    assert len(DataDir(folder).ids()) == 4 and not (folder / "utt2dur").exists()
    assert (folder / ".backup" / "utt2dur").exists()
    assert any("utt2dur: removed: it does not cover every utterance" in note for note in notes)


def test_nothing_is_changed_when_nothing_would_be_left(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d")
    (folder / "text").write_text("x words\n")
    before = snapshot(folder)
    with pytest.raises(UserError, match="nothing would be left, so nothing was changed"):
        fix(folder)
    assert snapshot(folder) == before and not (folder / ".backup").exists()
    (folder / "utt2spk").unlink()
    with pytest.raises(UserError, match="utt2spk: no such file"):
        fix(folder)


JUNK = [b"\r\n", b"\n\n", b"b-1 x\n", b"\t", b" ", b"\xe3\x80\x80", b"/"]


@given(
    st.sampled_from(["utt2spk", "spk2utt", "text", "wav.scp", "segments", "utt2dur"]),
    st.one_of(st.binary(max_size=30), st.sampled_from(JUNK)),
    st.integers(0, 60),
)
@settings(max_examples=80, deadline=None)
def test_whatever_is_spoilt_is_valid_afterwards(good: Path, name: str, junk: bytes, place: int) -> None:
    """One table with bytes thrown in: mended, or refused as a whole; a second run finds nothing."""
    folder = good / "d"
    shutil.copytree(good / "tables", folder, dirs_exist_ok=True)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:place] + junk + data[place:])
    try:
        fix(folder)
    except UserError:
        return
    left = [fault for fault in validate(folder) if fault.rule not in ("reserved-word", "pipe")]
    assert left == []
    assert fix(folder) == []


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("f")
    make_dir(folder / "d", segments=True)
    shutil.copytree(folder / "d", folder / "tables", ignore=shutil.ignore_patterns("*.wav"))
    return folder
