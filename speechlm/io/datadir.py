"""A Kaldi data directory: its tables, read when first asked for, and its audio."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.segments import Segment, number, parse_segment
from speechlm.io.tables import Fault, read_table


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
        """Utterance ids in C order: of utt2spk, else of the first of text, segments, feats.scp, wav.scp there is."""
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
        """Utterance id -> duration: from utt2dur where it is there, else from segments, else from the audio."""
        if self.utt2dur is not None:
            return {utt: number(value, utt, f"{self.path}/utt2dur") for utt, value in self.utt2dur.items()}
        return {utt: self.measure(utt, allow_pipes) for utt in self.ids()}

    def measure(self, utt: str, allow_pipes: bool = False) -> float:
        """Seconds of an utterance: of its segment, else of its audio by the header.

        Raises: UserError as `io.audio.duration`, and where a table lacks the utterance.
        """
        from speechlm.io.audio import duration

        part = self.segment(utt)
        if part.end is not None:
            return part.end - part.start
        return duration(self.location(part.recording), allow_pipes=allow_pipes) - part.start


def validate(
    path: Path | str,
    *,
    need_text: bool = True,
    need_wav: bool = True,
    need_feats: bool = False,
    allow_empty_text: bool = False,
    allow_pipes: bool = False,
    check_audio: bool = True,
    warnings: bool = False,
) -> list[Fault]:
    """Examine a data directory; give all its faults, none for a sound one.

    need_text, need_wav, need_feats: the files that must be there besides utt2spk and spk2utt.
    check_audio: read the header of every recording (about 0.1 ms each on a local disk).
    warnings: give the faults that Kaldi goes on after, too (rule "speaker-prefix").

    Raises: UserError when there is no such folder.
    """
    from speechlm.io.checks import Checker

    checker = Checker(DataDir(path).path, allow_empty_text, allow_pipes)
    checker.need("utt2spk", "write it: a line 'utterance speaker' for each utterance")
    checker.need("spk2utt", f"run utils/fix_data_dir.sh {path}")
    for wanted, name, fix in (
        (need_text, "text", "write it: a line 'utterance transcript' for each utterance"),
        (need_wav, "wav.scp", "write it: a line 'recording path' for each recording"),
        (need_feats, "feats.scp", "run the feature stage"),
    ):
        if wanted:
            checker.need(name, fix)
    checker.check_ids()
    checker.check_speakers()
    if check_audio:
        checker.check_audio()
    checker.check_feats()
    return checker.faults(warnings)


def fix(path: Path | str, *, allow_empty_text: bool = False) -> list[str]:
    """Mend what can be mended in a data directory; give what was changed or dropped and why, nothing for a sound one.

    Lines that break a rule are dropped (of duplicates the later ones), the tables are cut down to the utterances that
    all have, sorted, and spk2utt is made again. Files that change are kept in `.backup`.

    Raises: UserError when nothing would be left, or utt2spk is missing; then nothing is changed.
    """
    from speechlm.io.fix import Fixer

    return Fixer(DataDir(path).path, allow_empty_text).run()
