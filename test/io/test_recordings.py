"""A recording is decoded once for segments that follow each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.io.datadir import DataDir
from speechlm.io.recordings import Recordings
from speechlm.io.tables import read_table, write_table
from test.io.datadirs import RATE, edit, make_dir


@pytest.mark.parametrize("segments", [False, True])
def test_same_as_one_by_one(tmp_path: Path, segments: bool) -> None:
    data = DataDir(make_dir(tmp_path / "d", segments=segments))
    reader = Recordings(data)
    for utt in [*data.ids(), "a-1"]:
        samples, rate = reader.read(utt)
        assert rate == RATE
        np.testing.assert_array_equal(samples, data.audio(utt))


def test_commands_run_once_for_each_recording(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    plain = DataDir(folder)
    waves = {utt: plain.audio(utt) for utt in plain.ids()}
    table = read_table(folder / "wav.scp")
    write_table(folder / "wav.scp", {key: f"echo {key} >> {folder}/log; cat {path} |" for key, path in table.items()})
    reader = Recordings(DataDir(folder), allow_pipes=True)
    for utt, wave in waves.items():
        np.testing.assert_array_equal(reader.read(utt)[0], wave)
    assert (folder / "log").read_text().split() == ["rec-a", "rec-b"]
    with pytest.raises(UserError, match="a command, not a file"):
        Recordings(DataDir(folder)).read("a-1")


def test_broken_recording_is_tried_once_and_the_next_is_read(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    write_table(folder / "wav.scp", {**read_table(folder / "wav.scp"), "rec-a": f"echo x >> {folder}/log; exit 1 |"})
    reader = Recordings(DataDir(folder), allow_pipes=True)
    for utt in ("a-1", "a-2"):
        with pytest.raises(UserError, match="ended with status 1"):
            reader.read(utt)
    assert (folder / "log").read_text() == "x\n"
    assert len(reader.read("b-1")[0]) == round(0.7 * RATE)


def test_segment_behind_the_end(tmp_path: Path) -> None:
    folder = make_dir(tmp_path / "d", segments=True)
    edit(folder / "segments", "0.50 1.10", "5.0 6.0")
    with pytest.raises(UserError, match="no samples from 5 s to 6 s"):
        Recordings(DataDir(folder)).read("a-2")
