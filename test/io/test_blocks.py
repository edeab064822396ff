"""Blocks behind each other are the recording, whatever reads it; what is wrong with it is told with its time."""

from __future__ import annotations

import shutil
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechlm.core.errors import UserError
from speechlm.io.audio import read_audio
from speechlm.io.blocks import audio_blocks, spooled
from test.io.test_audio import fake_ffmpeg, sphere

RATE = 8000
WAVE = (0.5 * np.sin(np.arange(25 * RATE) * 0.05)).astype(np.float32)


def whole(location: str, **options: object) -> np.ndarray:
    with audio_blocks(location, **options) as (_, blocks):
        return np.concatenate(list(blocks))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "float.wav", "a.aiff"])
def test_blocks_are_the_recording(name: str, tmp_path: Path) -> None:
    location = str(tmp_path / name)
    soundfile.write(location, WAVE, RATE, subtype="FLOAT" if name.startswith("float") else None)
    with audio_blocks(location) as (rate, blocks):
        sizes = [len(block) for block in blocks]
    assert rate == RATE and len(sizes) >= 3 and max(sizes) <= 10 * RATE
    np.testing.assert_array_equal(whole(location), read_audio(location)[0])


def test_a_channel_is_taken_and_two_need_a_choice(tmp_path: Path) -> None:
    location = str(tmp_path / "a.wav")
    soundfile.write(location, np.stack([WAVE, -WAVE], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(whole(location, channel=1), -WAVE)
    with pytest.raises(UserError, match=r"a\.wav: 2 channels; choose one \(--channel"):
        whole(location)


def test_what_is_wrong_is_told_with_its_time(tmp_path: Path) -> None:
    bad = WAVE.copy()
    bad[12 * RATE] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=r"nan\.wav: NaN or infinite samples from 10 s"):
        whole(str(tmp_path / "nan.wav"))
    soundfile.write(tmp_path / "none.wav", WAVE[:0], RATE)
    with pytest.raises(UserError, match=r"none\.wav: no samples"):
        whole(str(tmp_path / "none.wav"))
    soundfile.write(tmp_path / "a.flac", WAVE, RATE)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[: (tmp_path / "a.flac").stat().st_size // 2])
    with pytest.raises(UserError, match=r"a\.flac: (ends|unreadable) after [\d.]+ s"):
        whole(str(tmp_path / "a.flac"))
    for name, rule in (("none", "no such audio file"), (".", "a folder")):
        with pytest.raises(UserError, match=rule):
            whole(str(tmp_path / name))


def test_what_ffmpeg_writes_is_read_while_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stereo = np.stack([WAVE, -WAVE], axis=1)
    header = struct.pack(">4sIIIII", b".snd", 32, 0xFFFFFFFF, 6, RATE, 2) + bytes(8)
    (tmp_path / "out.au").write_bytes(header + stereo.astype(">f4").tobytes())
    location = sphere(tmp_path / "a.sph", "ULAW", b"\xff" * 800)
    program = fake_ffmpeg(tmp_path, f"cat {tmp_path}/out.au")
    monkeypatch.setattr(shutil, "which", lambda name: program)
    np.testing.assert_array_equal(whole(location, channel=1), -WAVE)
    fake_ffmpeg(tmp_path, f"head -c 90000 {tmp_path}/out.au; echo Broken packet >&2; exit 1")
    with pytest.raises(UserError, match=r"neither soundfile .* nor ffmpeg can read it \(Broken packet\)"):
        whole(location, channel=1)
    fake_ffmpeg(tmp_path, "exit 1")
    with pytest.raises(UserError, match="nor ffmpeg can read it"):
        whole(location)


def test_a_command_is_run_only_where_allowed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", WAVE, RATE, subtype="PCM_16")
    command = f"cat {tmp_path}/a.wav |"
    np.testing.assert_array_equal(whole(command, allow_pipes=True), read_audio(str(tmp_path / "a.wav"))[0])
    with pytest.raises(UserError, match="pipes run only with --allow_pipes true"):
        whole(command)
    with pytest.raises(UserError, match="the command ended with status 3"):
        whole(f"cat {tmp_path}/a.wav; exit 3 |", allow_pipes=True)


def test_a_stream_is_kept_as_long_as_it_is_read_and_a_wav_of_unknown_length_is_read_to_its_end() -> None:
    stream = BytesIO()
    soundfile.write(stream, WAVE, RATE, format="WAV", subtype="PCM_16")
    data = bytearray(stream.getvalue())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff\xff\xff\xff"  # what programs write that cannot go back
    with spooled(BytesIO(data), "stdin") as path:
        assert len(whole(path)) == len(WAVE)
    assert not Path(path).exists()
    with pytest.raises(UserError, match="stdin: no audio came"), spooled(BytesIO(), "stdin"):
        pass
