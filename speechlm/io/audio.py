"""Waveforms from files and pipes: soundfile first, then ffmpeg, then a clear message; the only place that decodes."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.io.resample import resample


@dataclass(frozen=True)
class AudioInfo:
    """What the header says: samples per second, channels, samples per channel."""

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate


def is_pipe(location: str) -> bool:
    """True for Kaldi's "command |"."""
    return location.rstrip().endswith("|")


def read_audio(
    location: str,
    *,
    rate: int | None = None,
    channel: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    allow_pipes: bool = False,
) -> tuple[np.ndarray, int]:
    """Read one channel as float32 (N,) in [-1, 1], and its rate in Hz.

    location: a file, or "command |" whose output is a sound file (only with allow_pipes: it runs in a shell).
    rate: resample to this rate. channel: from 0; needed where there are more than one. start, end: seconds; the end of
    the recording cuts `end`.

    Raises: UserError when it cannot be read, is empty, has NaN or infinite samples, or has several channels and none
    was chosen.
    """
    mono, real_rate = one_channel(*decode(location, start, end, allow_pipes), location, channel, start, end)
    if rate is None or rate == real_rate:
        return mono, real_rate
    return resample(mono, real_rate, rate), rate


def one_channel(
    samples: np.ndarray, rate: int, location: str, channel: int | None, start: float = 0.0, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Take a channel of decoded samples (N, C) and check that it is sound: (N,), rate.

    Raises: UserError as `read_audio`; location, start and end are for its message.
    """
    mono = pick_channel(samples, channel, location)
    if not len(mono):
        raise UserError(f"{location}: no samples{between(start, end)}; remove the utterance or repair the file")
    # The sum of squares is finite unless a sample is not, or is absurdly large: one fast pass for the usual case.
    if not np.isfinite(np.dot(mono, mono)) and not np.isfinite(mono).all():
        raise UserError(f"{location}: NaN or infinite samples{between(start, end)}; repair the file")
    return mono, rate


def between(start: float, end: float | None) -> str:
    """Name the part of the recording in a message."""
    if start == 0 and end is None:
        return ""
    return f" from {start:g} s to {'the end' if end is None else f'{end:g} s'}"


def pick_channel(samples: np.ndarray, channel: int | None, location: str) -> np.ndarray:
    """(N, C) -> (N,)."""
    channels = samples.shape[1]
    if channel is None and channels > 1:
        raise UserError(f"{location}: {channels} channels; choose one (--channel, or the fifth column of segments) or mix them down")
    if channel is not None and not 0 <= channel < channels:
        raise UserError(f"{location}: no channel {channel}, it has {channels} (counted from 0); correct the channel")
    return np.ascontiguousarray(samples[:, channel or 0])


def decode(location: str, start: float, end: float | None, allow_pipes: bool) -> tuple[np.ndarray, int]:
    """Read all channels of a part: (N, C) float32, rate."""
    if start < 0 or (end is not None and end < start):
        raise UserError(f"{location}: no part{between(start, end)}; correct the times")
    if is_pipe(location):
        return cut(*decode_pipe(location, allow_pipes), start, end)
    try:
        with soundfile.SoundFile(location) as file:
            rate = file.samplerate
            first, last = round(start * rate), None if end is None else round(end * rate)
            if file.format == "MP3":  # libsndfile's seek lands on wrong samples there (a frame needs those before it)
                return read_floats(file, -1 if last is None else last)[first:], rate
            file.seek(min(first, file.frames))
            return read_floats(file, -1 if last is None else last - first), rate
    except soundfile.LibsndfileError as error:
        check_file(location)
        return cut(*decode_ffmpeg(location, error), start, end)


def read_floats(file: soundfile.SoundFile, count: int = -1) -> np.ndarray:
    """Read (N, C) float32. 16-bit samples are scaled here: the same values in a third of libsndfile's time."""
    if file.subtype == "PCM_16":
        return file.read(count, dtype="int16", always_2d=True) * np.float32(1 / 32768)
    return file.read(count, dtype="float32", always_2d=True)


def cut(samples: np.ndarray, rate: int, start: float, end: float | None) -> tuple[np.ndarray, int]:
    """Take the part from `start` to `end` seconds of (N, C)."""
    return samples[round(start * rate) : None if end is None else round(end * rate)], rate


def check_file(location: str) -> None:
    """Say why a file cannot be read where it is not the format's fault."""
    path = Path(location)
    if not path.exists():
        raise UserError(f"{location}: no such audio file; correct the path (relative ones start at the current folder)")
    if path.is_dir():
        raise UserError(f"{location}: a folder, not an audio file; correct the path")
    if path.stat().st_size == 0:
        raise UserError(f"{location}: the audio file is empty; remove the utterance or copy the file again")


def decode_pipe(location: str, allow_pipes: bool) -> tuple[np.ndarray, int]:
    """Run "command |" and read what it writes: (N, C) float32, rate."""
    if not allow_pipes:
        raise UserError(f"{location}: a command, not a file; pipes run only with --allow_pipes true")
    command = location.rstrip()[:-1].strip()
    done = subprocess.run(["bash", "-c", command], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise UserError(f"{location}: the command ended with status {done.returncode}{last_line(done.stderr)}")
    try:
        return soundfile.read(BytesIO(done.stdout), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{location}: the command's output is no sound file ({error.error_string})") from None


def last_line(output: bytes) -> str:
    """The last line that a program wrote on stderr, for a message."""
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return f" ({lines[-1]})" if lines else ""


def decode_ffmpeg(location: str, why: soundfile.LibsndfileError) -> tuple[np.ndarray, int]:
    """Decode with ffmpeg what soundfile cannot (m4a, webm, shorten, ULAW in capitals): (N, C) float32, rate."""
    done = subprocess.run(ffmpeg_command(location, why), capture_output=True, check=False)
    if done.returncode != 0 or len(done.stdout) < 24:
        raise UserError(ffmpeg_failed(location, why, done.stderr))
    return parse_au(done.stdout)


def ffmpeg_command(location: str, why: soundfile.LibsndfileError) -> list[str]:
    """Give the command that writes a file's first audio stream as Sun audio of 32-bit floats."""
    program = shutil.which("ffmpeg")
    if program is None:
        hint = "install ffmpeg or convert it to wav or flac"
        raise UserError(f"{location}: not readable by soundfile ({reason(why)}); {hint}{sphere_hint(location)}")
    command = [program, "-nostdin", "-v", "error", "-i", str(Path(location).absolute()), "-map", "0:a:0"]
    return [*command, "-c:a", "pcm_f32be", "-f", "au", "-"]


def ffmpeg_failed(location: str, why: soundfile.LibsndfileError, stderr: bytes) -> str:
    """Say that no library can read a file."""
    what = f"neither soundfile ({reason(why)}) nor ffmpeg can read it{last_line(stderr)}"
    return f"{location}: {what}; convert it to wav or flac{sphere_hint(location)}"


def reason(error: soundfile.LibsndfileError) -> str:
    """What libsndfile says, without its full stop."""
    return error.error_string.rstrip(". ")


def sphere_hint(location: str) -> str:
    """Name the tool for the one common format that neither library reads."""
    with open(location, "rb") as file:
        header = file.read(1024)
    return " (sph2pipe reads shortened NIST SPHERE)" if b"shorten" in header and header.startswith(b"NIST") else ""


def parse_au(data: bytes) -> tuple[np.ndarray, int]:
    """Read Sun audio of 32-bit floats: big-endian words magic, offset, size, encoding, rate, channels, then samples."""
    _, offset, _, _, rate, channels = struct.unpack(">4sIIIII", data[:24])
    samples = np.frombuffer(data, dtype=">f4", offset=offset, count=(len(data) - offset) // 4 // channels * channels)
    return samples.reshape(-1, channels).astype(np.float32), rate


def audio_info(location: str, *, allow_pipes: bool = False) -> AudioInfo:
    """Read rate, channels and length: from the header where there is one, by decoding where there is none.

    Raises: UserError as `read_audio`.
    """
    if not is_pipe(location):
        try:
            info = soundfile.info(location)
            return AudioInfo(info.samplerate, info.channels, info.frames)
        except soundfile.LibsndfileError:
            check_file(location)
    samples, rate = decode(location, 0.0, None, allow_pipes)
    return AudioInfo(rate, samples.shape[1], len(samples))


def duration(location: str, *, allow_pipes: bool = False) -> float:
    """Length in seconds. Raises: UserError as `read_audio`."""
    return audio_info(location, allow_pipes=allow_pipes).seconds


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write (N,) in [-1, 1] as 16-bit wav, atomically; what lies outside is clipped."""
    whole = np.clip(np.round(np.asarray(samples, dtype=np.float32) * 32768.0), -32768, 32767).astype(np.int16)
    buffer = BytesIO()  # soundfile does not tell of a full disk
    soundfile.write(buffer, whole, rate, format="WAV", subtype="PCM_16")
    with atomic_open(path, "wb") as file:
        file.write(buffer.getbuffer())
