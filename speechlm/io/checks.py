"""The rules between the tables of a data directory, its audio and its features: every fault, not only the first."""

from __future__ import annotations

from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io import rules
from speechlm.io.archive import matrix_shape
from speechlm.io.audio import AudioInfo, audio_info, is_pipe
from speechlm.io.rules import MEND, Table, check_values, scan_table
from speechlm.io.segments import Segment, parse_segment
from speechlm.io.tables import Fault, Row, split

# Kaldi goes on after these.
WARNINGS = ("speaker-prefix",)
UTTERANCE_TABLES = ("text", "segments", "feats.scp", "utt2dur", "utt2num_frames")
SLACK = 0.1  # seconds by which rounded times may miss


class Checker:
    """One data directory under examination; `faults()` gives what was found, by file and line."""

    def __init__(self, path: Path, allow_empty_text: bool, allow_pipes: bool) -> None:
        self.path, self.allow_pipes = path, allow_pipes
        self.tables = {name: scan_table(path / name, need_values=name != "text") for name in rules.TABLES}
        check_values(self["utt2spk"], rules.check_one_word(self["utt2spk"]))
        check_values(self["segments"], rules.check_segment(self["segments"]))
        for name in ("utt2dur", "reco2dur"):
            check_values(self[name], rules.check_seconds(self[name]))
        check_values(self["utt2num_frames"], rules.check_frames(self["utt2num_frames"]))
        rules.check_text(self["text"], allow_empty_text)

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def need(self, name: str, fix: str) -> None:
        """Note a file that is missing or empty."""
        if not self[name].exists:
            self[name].fault(0, "missing-file", fix, "no such file")
        elif not self[name].rows and not self[name].faults:
            self[name].fault(0, "empty-file", fix, "the file is empty")

    def faults(self, warnings: bool) -> list[Fault]:
        """All faults, by file and line."""
        found = [fault for table in self.tables.values() for fault in sorted(table.faults, key=lambda f: f.line)]
        return [fault for fault in found if warnings or fault.rule not in WARNINGS]

    def check_ids(self) -> None:
        """The tables of utterances must list the ids of utt2spk; without segments wav.scp is one of them."""
        names = UTTERANCE_TABLES if self["segments"].exists else (*UTTERANCE_TABLES, "wav.scp")
        for name in names:
            if self[name].exists and self["utt2spk"].exists:
                self.compare(name, "utt2spk", set(self["utt2spk"].rows), "utterance")
        if self["segments"].exists and self["wav.scp"].exists:
            used = {split(row.value)[0] for row in self["segments"].rows.values()}
            self.compare("wav.scp", "segments", used, "recording")

    def compare(self, name: str, other: str, ids: set[str], what: str) -> None:
        """Note what stands in only one of two tables."""
        table = self[name]
        for row in table.rows.values():
            if row.key not in ids:
                table.fault(row.line, "unknown-id", MEND, f"{what} {row.key!r} is not in {other}")
        for key in sorted(ids - table.rows.keys()):
            table.fault(0, "missing-id", MEND, f"{what} {key!r} of {other} is not here")

    def check_speakers(self) -> None:
        """spk2utt must be the inverse of utt2spk; speakers in the order of their utterances."""
        before = ""
        for row in self["utt2spk"].rows.values():
            if row.value < before:
                detail = f"speaker {row.value!r} after {before!r}: Kaldi wants speakers sorted as their utterances"
                fix = "make the speaker the beginning of the utterance's id"
                self["utt2spk"].fault(row.line, "speaker-prefix", fix, detail)
            before = row.value
        if self["spk2utt"].exists and self["utt2spk"].exists:
            self.check_inverse()

    def check_inverse(self) -> None:
        """Every utterance once, under its own speaker."""
        table, speaker_of, seen = self["spk2utt"], self["utt2spk"].rows, set()
        for row in table.rows.values():
            for utt in split(row.value):
                if utt not in speaker_of or speaker_of[utt].value != row.key:
                    table.fault(row.line, "spk2utt", MEND, f"{utt!r} is not of speaker {row.key!r} in utt2spk")
                elif utt in seen:
                    table.fault(row.line, "spk2utt", MEND, f"{utt!r} stands twice")
                seen.add(utt)
        for utt in sorted(speaker_of.keys() - seen):
            table.fault(0, "spk2utt", MEND, f"utterance {utt!r} of utt2spk is not here")

    def check_audio(self) -> None:
        """Read the header of every recording; segments and durations must fit it."""
        infos: dict[str, AudioInfo] = {}
        parts = {row.key: parse_segment(row.value, row.key, "") for row in self["segments"].rows.values()}
        chosen = {part.recording for part in parts.values() if part.channel is not None}
        for row in self["wav.scp"].rows.values():
            if row.value and (info := self.recording(row, row.key in chosen)):
                infos[row.key] = info
        for utt, part in parts.items():
            if part.recording in infos:
                self.check_part(self["segments"].rows[utt], part, infos[part.recording])
        for utt, row in self["utt2dur"].rows.items():
            part = parts.get(utt, Segment(utt, 0.0, None, None))
            if part.recording in infos and (part.end is not None or not parts):
                real = (infos[part.recording].seconds if part.end is None else part.end) - part.start
                if abs(real - float(row.value)) > SLACK:
                    detail = f"{utt!r} lasts {real:.2f} s"
                    self["utt2dur"].fault(row.line, "duration", "run utils/get_utt2dur.sh", detail)

    def recording(self, row: Row, channel_chosen: bool) -> AudioInfo | None:
        """Read one header, or note why not."""
        table = self["wav.scp"]
        if is_pipe(row.value) and not self.allow_pipes:
            table.fault(row.line, "pipe", "pass --allow_pipes true where you trust it", f"{row.key!r} is a command")
            return None
        try:
            info = audio_info(row.value, allow_pipes=self.allow_pipes)
        except UserError as error:
            what, _, fix = str(error).rpartition("; ")
            table.fault(row.line, "audio", fix, f"{row.key!r}: {what}")
            return None
        if info.frames <= 0:
            table.fault(row.line, "audio", "remove it", f"{row.key!r} has no samples")
            return None
        if info.channels > 1 and not channel_chosen:
            fix = "choose a channel in the fifth column of segments, or mix the channels down"
            table.fault(row.line, "channels", fix, f"{row.key!r} has {info.channels} channels")
        return info

    def check_part(self, row: Row, part: Segment, info: AudioInfo) -> None:
        """A segment must lie in its recording."""
        if part.start >= info.seconds or (part.end or 0) > info.seconds + SLACK:
            detail = f"{row.key!r} goes beyond its recording of {info.seconds:.2f} s"
            self["segments"].fault(row.line, "segment-end", MEND, detail)
        if part.channel is not None and part.channel >= info.channels:
            detail = f"{row.key!r}: no channel {part.channel} in its recording"
            self["segments"].fault(row.line, "channels", "correct the channel", detail)

    def check_feats(self) -> None:
        """Read the header of every matrix: whole, as many frames as utt2num_frames says, one width."""
        table, frames = self["feats.scp"], self["utt2num_frames"].rows
        width = 0
        for row in table.rows.values():
            try:
                shape = matrix_shape(row.value) if row.value else (0, 0)
            except UserError as error:
                what, _, fix = str(error).rpartition("; ")
                table.fault(row.line, "features", fix, f"{row.key!r}: {what}")
                continue
            width = width or shape[1]
            if row.value and (shape[1] != width or shape[0] == 0):
                detail = f"{row.key!r} has the shape {shape}, the first one the width {width}"
                table.fault(row.line, "features", "compute them again", detail)
            if row.key in frames and int(frames[row.key].value) != shape[0]:
                table.fault(row.line, "frames", "compute utt2num_frames again", f"{row.key!r} has {shape[0]} frames")
