"""A Kaldi data directory: its tables, read when first asked for, and its audio."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.segments import Segment, number, parse_segment
from speechlm.io.tables import read_table


class DataDir:
    """The tables of one folder, each a dictionary id -> rest of line, or None where the file is absent.

    path: the folder. Nothing is read before it is asked for.

    Raises: UserError when there is no such folder; at access, when the table breaks a rule (file and line).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"{path}: no such data directory; run stage 0 or check the path")

    def table(self, name: str, *, values: bool = True) -> dict[str, str] | None:
        """Read one table of the folder, in C order; None where the file is absent."""
        path = self.path / name
        return read_table(path, values=values, ordered=True) if path.exists() else None

    @cached_property
    def wav_scp(self) -> dict[str, str] | None:
        """Recording id (utterance id where there are no segments) -> path or "command |"."""
        return self.table("wav.scp")

    @cached_property
    def text(self) -> dict[str, str] | None:
        """Utterance id -> transcript, "" where it is empty."""
        return self.table("text", values=False)

    @cached_property
    def utt2spk(self) -> dict[str, str] | None:
        """Utterance id -> speaker."""
        return self.table("utt2spk")

    @cached_property
    def spk2utt(self) -> dict[str, str] | None:
        """Speaker -> utterance ids, parted by blanks."""
        return self.table("spk2utt")

    @cached_property
    def segments(self) -> dict[str, str] | None:
        """Utterance id -> "recording start end [channel]", times in seconds."""
        return self.table("segments")

    @cached_property
    def utt2dur(self) -> dict[str, str] | None:
        """Utterance id -> seconds."""
        return self.table("utt2dur")

    @cached_property
    def feats_scp(self) -> dict[str, str] | None:
        """Utterance id -> "file.ark:offset"."""
        return self.table("feats.scp")

    @cached_property
    def utt2num_frames(self) -> dict[str, str] | None:
        """Utterance id -> number of feature frames."""
        return self.table("utt2num_frames")

    def ids(self) -> list[str]:
        """Utterance ids in C order: of utt2spk, else of the first of text, segments, feats.scp, wav.scp that is there."""
        for name in ("utt2spk", "text", "segments", "feats_scp", "wav_scp"):
            table = getattr(self, name)
            if table is not None:
                return list(table)
        raise UserError(f"{self.path}: no utt2spk, text, segments, feats.scp or wav.scp; this is no data directory")

    def segment(self, utt: str) -> Segment:
        """Where the audio of an utterance lies.

        Raises: UserError when a table lacks the utterance or its line in segments is broken.
        """
        if self.segments is None:
            return Segment(utt, 0.0, None, None)  # without segments an utterance is a recording
        if utt not in self.segments:
            raise UserError(f"{self.path}/segments: no utterance {utt!r}; run utils/fix_data_dir.sh {self.path}")
        return parse_segment(self.segments[utt], utt, f"{self.path}/segments")

    def location(self, recording: str) -> str:
        """What wav.scp says of a recording."""
        if self.wav_scp is None or recording not in self.wav_scp:
            raise UserError(f"{self.path}/wav.scp: no recording {recording!r}; run utils/fix_data_dir.sh {self.path}")
        return self.wav_scp[recording]

    def audio(self, utt: str, rate: int | None = None, allow_pipes: bool = False) -> np.ndarray:
        """Read an utterance's waveform (N,) float32 in [-1, 1], resampled to `rate` where given; segments are honoured.

        A relative path in wav.scp starts at the current folder, as in Kaldi.
        """
        from speechlm.io.audio import read_audio

        part = self.segment(utt)
        where = self.location(part.recording)
        return read_audio(
            where, rate=rate, channel=part.channel, start=part.start, end=part.end, allow_pipes=allow_pipes
        )[0]

    def seconds(self, allow_pipes: bool = False) -> dict[str, float]:
        """Utterance id -> duration: from utt2dur where it is there, else from segments, else from the audio's headers."""
        if self.utt2dur is not None:
            return {utt: number(value, utt, f"{self.path}/utt2dur") for utt, value in self.utt2dur.items()}
        from speechlm.io.audio import duration

        found = {}
        for utt in self.ids():
            part = self.segment(utt)
            end = part.end
            if end is None:
                end = duration(self.location(part.recording), allow_pipes=allow_pipes)
            found[utt] = end - part.start
        return found
