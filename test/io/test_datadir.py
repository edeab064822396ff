"""Reading a data directory: tables, audio with and without segments, durations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.io.datadir import DataDir
from test.io.datadirs import RATE, edit, make_dir, tone
from test.paths import shared


@pytest.mark.parametrize("segments", [False, True])
def test_tables_and_audio(tmp_path: Path, segments: bool) -> None:
    data = DataDir(make_dir(tmp_path / "d", segments=segments))
    assert data.ids() == ["a-1", "a-2", "b-1", "b-2"]
    assert data.text is not None and data.text["a-2"] == "words of a-2"
    assert data.spk2utt == {"a": "a-1 a-2", "b": "b-1 b-2"}
    assert (data.feats_scp, data.utt2num_frames) == (None, None) and (data.segments is not None) == segments
    for i, utt in enumerate(data.ids()):
        wave = data.audio(utt)
        assert np.abs(wave - tone(0.5 + 0.1 * i, 300 + 100 * i)).max() < 1e-4
        assert len(data.audio(utt, rate=2 * RATE)) == 2 * len(wave)


@pytest.mark.parametrize("segments", [False, True])
def test_seconds_from_table_segments_or_header(tmp_path: Path, segments: bool) -> None:
    folder = make_dir(tmp_path / "d", segments=segments)
    known = DataDir(folder).seconds()
    (folder / "utt2dur").unlink()
    found = DataDir(folder).seconds()
    assert list(found) == list(known)
    for table in (found, known):
        assert np.allclose(list(table.values()), [0.5, 0.6, 0.7, 0.8])


def test_end_of_minus_one_is_the_end(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    edit(folder / "segments", "0.50 1.10", "0.50 -1")
    data = DataDir(folder)
    assert data.measure("a-2") == pytest.approx(0.6) and len(data.audio("a-2")) == round(0.6 * RATE)


def test_ids_of_the_first_table_there_is(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    for name in ("utt2spk", "text", "segments"):
        assert len(DataDir(folder).ids()) == 4
        (folder / name).unlink()
    assert DataDir(folder).ids() == ["rec-a", "rec-b"]
    (folder / "wav.scp").unlink()
    with pytest.raises(UserError, match="this is no data directory"):
        DataDir(folder).ids()


def test_faults_are_told_at_access(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such data directory"):
        DataDir(tmp_path / "none")
    folder = make_dir(tmp_path / "d", segments=True)
    (folder / "text").write_text("b x\na y\n")
    (folder / "utt2spk").write_text("a s\nb\n")
    data = DataDir(folder)
    with pytest.raises(UserError, match=r"text:2: .*not sorted"):
        _ = data.text
    with pytest.raises(UserError, match=r"utt2spk:2: 'b' has no value"):
        _ = data.utt2spk
    with pytest.raises(UserError, match="segments: no utterance 'x'; run utils/fix_data_dir.sh"):
        data.audio("x")
    edit(folder / "segments", "rec-b", "rec-c")
    with pytest.raises(UserError, match="wav.scp: no recording 'rec-c'"):
        DataDir(folder).audio("b-1")
    edit(folder / "utt2dur", "0.500", "nan")
    with pytest.raises(UserError, match="utt2dur: 'a-1' has the time 'nan'"):
        DataDir(folder).seconds()


def test_real_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = shared("data/en_longform")
    monkeypatch.chdir(pack)
    data = DataDir(pack)
    seconds = data.seconds()
    for utt in data.ids()[::20]:
        assert len(data.audio(utt)) / 16000 == pytest.approx(seconds[utt], abs=1e-3)
