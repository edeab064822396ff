"""Recordings of any length read block by block: the memory they take does not grow with them."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
import soundfile

from speechlm.core.errors import UserError
from speechlm.io.audio import (
    check_file,
    ffmpeg_command,
    ffmpeg_failed,
    is_pipe,
    last_line,
    one_channel,
    read_floats,
    reason,
)

SECONDS = 10.0
"""Length of a block."""

Blocks = Iterator[np.ndarray]


class Forward(soundfile.SoundFile):
    """A sound file that is only read from front to back.

    soundfile seeks to where it is after every read; in an MP3 that loses the frames that the next ones are decoded
    from, and the samples behind each block come out wrong.
    """

    def seekable(self) -> bool:
        """Say no: then nothing is sought."""
        return False


@contextmanager
def audio_blocks(
    location: str, *, channel: int | None = None, allow_pipes: bool = False
) -> Iterator[tuple[int, Blocks]]:
    """Open a recording; give its rate in Hz and its samples as blocks (N,) float32 in [-1, 1], one after another.

    Put behind each other the blocks are what `read_audio` gives. What `ffmpeg` or a "command |" writes is read while
    it comes (a command's output is kept in a temporary file, since sound files are not read front to back).

    Raises: UserError as `read_audio`, and when a file ends before the length that its header tells.
    """
    if is_pipe(location):
        with _output_of(location, allow_pipes) as name, audio_blocks(name, channel=channel) as opened:
            yield opened
        return
    try:
        file = Forward(location)
    except soundfile.LibsndfileError as error:
        check_file(location)
        with _ffmpeg_blocks(location, error, channel) as opened:
            yield opened
        return
    with file:
        yield file.samplerate, _file_blocks(file, location, channel)


@contextmanager
def spooled(stream: IO[bytes], name: str) -> Iterator[str]:
    """Copy a stream to a temporary file; give its path. name: of the stream, for the message when it is empty."""
    with tempfile.NamedTemporaryFile(prefix="speechlm-", suffix=".audio") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
        file.flush()
        if not file.tell():
            raise UserError(f"{name}: no audio came; write a wav or flac stream there")
        yield file.name


def _file_blocks(file: soundfile.SoundFile, location: str, channel: int | None) -> Blocks:
    done, rate = 0, file.samplerate
    while True:
        try:
            samples = read_floats(file, round(SECONDS * rate))
        except soundfile.LibsndfileError as error:
            raise UserError(f"{location}: unreadable after {done / rate:.2f} s ({reason(error)}); repair it") from None
        if done and not len(samples):
            break
        yield one_channel(samples, rate, location, channel, done / rate)[0]
        done += len(samples)
    if done < file.frames and file.format != "MP3":  # an MP3's header need not tell its length
        raise UserError(
            f"{location}: ends after {done / rate:.2f} s, its header tells {file.frames / rate:.2f} s; copy it again"
        )


@contextmanager
def _ffmpeg_blocks(
    location: str, why: soundfile.LibsndfileError, channel: int | None
) -> Iterator[tuple[int, Blocks]]:
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(ffmpeg_command(location, why), stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None

        def fail_if_it_did(header: bytes = bytes(24)) -> None:
            if process.wait() != 0 or len(header) < 24:
                errors.seek(0)
                raise UserError(ffmpeg_failed(location, why, errors.read()))

        def blocks() -> Blocks:
            assert process.stdout is not None
            done = 0
            while True:
                data = process.stdout.read(4 * channels * round(SECONDS * rate))
                whole = len(data) // (4 * channels)
                samples = np.frombuffer(data, dtype=">f4", count=whole * channels).reshape(whole, channels)
                if not whole:
                    fail_if_it_did()
                    if done:
                        return
                yield one_channel(samples.astype(np.float32), rate, location, channel, done / rate)[0]
                done += whole

        try:
            header = process.stdout.read(24)
            if len(header) < 24:
                fail_if_it_did(header)
            _, offset, _, _, rate, channels = struct.unpack(">4sIIIII", header)
            process.stdout.read(offset - 24)
            yield rate, blocks()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@contextmanager
def _output_of(location: str, allow_pipes: bool) -> Iterator[str]:
    """Run "command |" into a temporary file; give its path."""
    if not allow_pipes:
        raise UserError(f"{location}: a command, not a file; pipes run only with --allow_pipes true")
    with tempfile.TemporaryFile() as errors:
        command = ["bash", "-c", location.rstrip()[:-1].strip()]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        with process.stdout, spooled(process.stdout, location) as name:
            if process.wait() != 0:
                errors.seek(0)
                told = last_line(errors.read())
                raise UserError(f"{location}: the command ended with status {process.returncode}{told}")
            yield name
