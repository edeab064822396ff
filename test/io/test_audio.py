"""Audio: formats, parts, channels, and every way in which a recording can be bad."""

from __future__ import annotations

import shutil
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechlm.core.errors import UserError
from speechlm.io.audio import audio_info, duration, parse_au, read_audio, write_wav

RATE = 16000
WAVE = (0.5 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)


def make(path: Path, samples: np.ndarray = WAVE, rate: int = RATE, **options: str) -> str:
    soundfile.write(path, samples, rate, **options)
    return str(path)


@pytest.mark.parametrize(
    ("name", "options", "near"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 4e-5),
        ("a.wav", {"subtype": "PCM_24"}, 1e-6),
        ("a.wav", {"subtype": "FLOAT"}, 0),
        ("a.wav", {"subtype": "ULAW"}, 0.02),
        ("a.flac", {}, 4e-5),
        ("a.ogg", {"format": "OGG", "subtype": "VORBIS"}, 0.05),
        ("a.mp3", {"format": "MP3"}, 0.05),
    ],
)
def test_formats(tmp_path: Path, name: str, options: dict[str, str], near: float) -> None:
    location = make(tmp_path / name, **options)
    samples, rate = read_audio(location)
    assert rate == RATE and samples.dtype == np.float32 and samples.shape == WAVE.shape
    assert np.abs(samples - WAVE).max() <= near
    assert duration(location) == 1.0
    part, _ = read_audio(location, start=0.25, end=0.75)
    assert len(part) == RATE // 2 and np.abs(part - WAVE[4000:12000]).max() <= near


def test_sixteen_bits_are_scaled_as_libsndfile_does(tmp_path: Path) -> None:
    whole = np.array([-32768, -1, 0, 1, 32767], dtype=np.int16)
    for name in ("a.wav", "a.flac"):
        location = make(tmp_path / name, whole)
        np.testing.assert_array_equal(read_audio(location)[0], soundfile.read(location, dtype="float32")[0])


def sphere(path: Path, coding: str, data: bytes) -> str:
    """A NIST SPHERE file of 1024 bytes of header, 8000 Hz, one channel."""
    size = 2 if coding.lower().startswith("pcm") else 1
    fields = [
        f"sample_count -i {len(data) // size}", f"sample_n_bytes -i {size}", "channel_count -i 1",
        "sample_rate -i 8000", f"sample_coding -s{len(coding)} {coding}",
    ]  # fmt: skip
    if size == 2:
        fields.append("sample_byte_format -s2 01")
    head = "\n".join(["NIST_1A", "   1024", *fields, "end_head", ""])
    path.write_bytes(head.encode().ljust(1024) + data)
    return str(path)


def test_sphere(tmp_path: Path) -> None:
    whole = (WAVE * 32767).astype("<i2")
    samples, rate = read_audio(sphere(tmp_path / "a.WAV", "pcm", whole.tobytes()))
    assert rate == 8000
    np.testing.assert_array_equal(samples, whole / np.float32(32768))


def test_what_soundfile_cannot_read_goes_to_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = sphere(tmp_path / "a.sph", "ULAW", b"\xff" * 800)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"a\.sph: not readable by soundfile .*; install ffmpeg or convert it"):
        read_audio(location)
    shorten = sphere(tmp_path / "b.sph", "pcm,embedded-shorten-v2.00", b"ajkg" + bytes(400))
    with pytest.raises(UserError, match="sph2pipe reads shortened NIST SPHERE"):
        read_audio(shorten)


def fake_ffmpeg(folder: Path, body: str) -> str:
    """A program in the place of ffmpeg: what it writes and how it ends is given."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_output_of_ffmpeg_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stereo = np.stack([WAVE, -WAVE], axis=1)
    header = struct.pack(">4sIIIII", b".snd", 32, 0xFFFFFFFF, 6, RATE, 2) + bytes(8)
    (tmp_path / "out.au").write_bytes(header + stereo.astype(">f4").tobytes())
    location = sphere(tmp_path / "a.sph", "ULAW", b"\xff" * 800)
    program = fake_ffmpeg(tmp_path, f'case "$*" in *"{location}"*"-f au -") cat {tmp_path}/out.au;; *) exit 3;; esac')
    monkeypatch.setattr(shutil, "which", lambda name: program)
    samples, rate = read_audio(location, channel=1, start=0.5)
    assert rate == RATE
    np.testing.assert_array_equal(samples, -WAVE[8000:])
    assert audio_info(location).channels == 2 and duration(location) == 1.0


def test_failure_of_ffmpeg_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = make(tmp_path / "a.wav")
    Path(location).write_bytes(b"no sound at all")
    program = fake_ffmpeg(tmp_path, "echo first >&2; echo Invalid data found >&2; exit 1")
    monkeypatch.setattr(shutil, "which", lambda name: program)
    with pytest.raises(UserError, match=r"neither soundfile .* nor ffmpeg can read it \(Invalid data found\)"):
        read_audio(location)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_real_ffmpeg_reads_upper_case_ulaw(tmp_path: Path) -> None:
    samples, rate = read_audio(sphere(tmp_path / "a.sph", "ULAW", b"\xff" * 800))
    assert rate == 8000 and len(samples) == 800 and np.abs(samples).max() < 1e-3


def test_au_cut_inside_a_frame_gives_whole_frames() -> None:
    data = struct.pack(">4sIIIII", b".snd", 24, 0xFFFFFFFF, 6, 8000, 2) + struct.pack(">5f", 1, 2, 3, 4, 5)
    samples, rate = parse_au(data)
    assert rate == 8000 and samples.tolist() == [[1, 2], [3, 4]]


def test_channels(tmp_path: Path) -> None:
    location = make(tmp_path / "a.wav", np.stack([WAVE, WAVE * 0.5], axis=1), subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(location, channel=1)[0], WAVE * np.float32(0.5))
    with pytest.raises(UserError, match=r"a\.wav: 2 channels; choose one"):
        read_audio(location)
    with pytest.raises(UserError, match="no channel 2"):
        read_audio(location, channel=2)


def test_parts(tmp_path: Path) -> None:
    location = make(tmp_path / "a.wav")
    assert len(read_audio(location, start=0.5, end=9.0)[0]) == 8000
    for start, end in ((1.0, None), (0.5, 0.5), (3.0, 4.0)):
        with pytest.raises(UserError, match="no samples from"):
            read_audio(location, start=start, end=end)
    for start, end in ((-1.0, None), (0.5, 0.2)):
        with pytest.raises(UserError, match="no part"):
            read_audio(location, start=start, end=end)


def test_bad_recordings(tmp_path: Path) -> None:
    for value in (np.nan, np.inf, -np.inf):
        samples = WAVE.copy()
        samples[77] = value
        with pytest.raises(UserError, match=r"nan\.wav: NaN or infinite samples"):
            read_audio(make(tmp_path / "nan.wav", samples, subtype="FLOAT"))
    with pytest.raises(UserError, match=r"empty\.wav: no samples"):
        read_audio(make(tmp_path / "empty.wav", WAVE[:0]))
    (tmp_path / "zero.wav").write_bytes(b"")
    for read in (read_audio, duration):
        with pytest.raises(UserError, match=r"zero\.wav: the audio file is empty"):
            read(str(tmp_path / "zero.wav"))
        with pytest.raises(UserError, match="no such audio file"):
            read(str(tmp_path / "none.wav"))
        with pytest.raises(UserError, match="a folder, not an audio file"):
            read(str(tmp_path))


def test_cut_off_wav_gives_what_is_there(tmp_path: Path) -> None:
    location = make(tmp_path / "a.wav", subtype="PCM_16")
    Path(location).write_bytes(Path(location).read_bytes()[:1044])
    assert len(read_audio(location)[0]) == 500


def test_pipes_only_where_allowed(tmp_path: Path) -> None:
    location = make(tmp_path / "a.wav", subtype="FLOAT")
    pipe = f"cat {location} | cat |"
    for read in (read_audio, duration):
        with pytest.raises(UserError, match="a command, not a file; pipes run only with --allow_pipes"):
            read(pipe)
    np.testing.assert_array_equal(read_audio(pipe, allow_pipes=True, start=0.5)[0], WAVE[8000:])
    assert duration(pipe, allow_pipes=True) == 1.0
    with pytest.raises(UserError, match=r"the command ended with status 3 \(broken\)"):
        read_audio("echo broken >&2; exit 3 |", allow_pipes=True)
    with pytest.raises(UserError, match="the command's output is no sound file"):
        read_audio("echo text |", allow_pipes=True)


def test_rate(tmp_path: Path) -> None:
    samples, rate = read_audio(make(tmp_path / "a.wav"), rate=8000)
    assert rate == 8000 and samples.dtype == np.float32 and len(samples) == 8000
    assert np.abs(samples - WAVE[::2])[100:-100].max() < 1e-3


def test_write(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([0.5, 2.0, -2.0, 1 / 32768]), 8000)
    samples, rate = read_audio(str(tmp_path / "a.wav"))
    assert rate == 8000 and samples.tolist() == [0.5, 32767 / 32768, -1.0, 1 / 32768]
    with pytest.raises(UserError, match="/dev/full"):
        write_wav("/dev/full", WAVE, RATE)
