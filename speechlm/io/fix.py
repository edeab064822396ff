"""Mend a data directory: drop what breaks the rules, cut the tables down to what all have, sort, and say so."""

from __future__ import annotations

import shutil
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.audio import AudioInfo, audio_info, is_pipe
from speechlm.io.rules import WIDE_BLANK
from speechlm.io.segments import number, parse_segment
from speechlm.io.tables import BLANKS, Fault, parse_line, split, write_table

CORE = ("utt2spk", "text", "feats.scp")  # with segments or wav.scp these say which utterances there are
DERIVED = ("utt2dur", "utt2num_frames", "utt2lang")  # cut down, but never a reason to drop an utterance
BY_SPEAKER = ("spk2gender", "cmvn.scp")
BY_RECORDING = ("wav.scp", "reco2dur")


class Fixer:
    """One data directory under repair. Nothing is written before all is decided."""

    def __init__(self, path: Path, allow_empty_text: bool) -> None:
        self.path, self.allow_empty_text = path, allow_empty_text
        self.notes: list[str] = []
        self.tables: dict[str, dict[str, str]] = {}
        self.before: dict[str, bytes] = {}
        self.infos: dict[str, AudioInfo] = {}  # of the recordings that are files
        for name in (*CORE, "segments", *BY_RECORDING, *DERIVED, *BY_SPEAKER):
            if (path / name).exists():
                self.read(name)
        if "utt2spk" not in self.tables:
            raise UserError(f"{path}/utt2spk: no such file; write it: a line 'utterance speaker' for each utterance")

    def note(self, name: str, line: int, text: str) -> None:
        """Remember what was done."""
        self.notes.append(f"{self.path / name}:{line}: {text}" if line else f"{self.path / name}: {text}")

    def read(self, name: str) -> None:
        """Read the sound lines of a table; of the others say why they are dropped."""
        data = (self.path / name).read_bytes()
        self.before[name] = data
        if data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
            self.note(name, 1, "removed the byte order mark")
        if b"\r\n" in data:
            data = data.replace(b"\r\n", b"\n")
            self.note(name, 0, "changed Windows line ends to plain newlines")
        table: dict[str, str] = {}
        for line, raw in enumerate(data.split(b"\n"), start=1):
            if raw.strip():
                self.read_line(name, table, line, raw)
        self.tables[name] = table

    def read_line(self, name: str, table: dict[str, str], line: int, raw: bytes) -> None:
        """Take one line into the table, or say why not."""
        row = parse_line(raw, line, str(self.path / name))
        if isinstance(row, Fault):
            self.note(name, line, f"dropped the line: {row.detail}")
            return
        value = row.value if name == "text" else row.value.replace("\t", " ")
        if name == "text" and WIDE_BLANK.search(value):
            value = " ".join(WIDE_BLANK.sub(" ", value).split())
            self.note(name, line, f"changed wide blanks of {row.key!r} to plain ones")
        if row.key in table:
            self.note(name, line, f"dropped the second {row.key!r} ({row.value!r})")
        elif not value and not (name == "text" and self.allow_empty_text):
            self.note(name, line, f"dropped {row.key!r}: no {'transcript' if name == 'text' else 'value'}")
        elif reason := self.refuse(name, row.key, value):
            self.note(name, line, f"dropped {row.key!r}: {reason}")
        else:
            table[row.key] = value

    def refuse(self, name: str, key: str, value: str) -> str:
        """Why a value cannot stay, "" if it can."""
        try:
            if name == "segments":
                parse_segment(value, key, "")
            elif name in ("utt2dur", "reco2dur") and number(value, key, "") == 0:
                return "it lasts 0 s"
            elif name == "utt2spk" and len(split(value)) != 1:
                return "more than one speaker"
            elif name == "wav.scp" and not is_pipe(value):
                self.infos[key] = audio_info(value)
                return "" if self.infos[key].frames > 0 else f"{value}: no samples"
        except UserError as error:
            return str(error).removeprefix(": ").rpartition("; ")[0]
        return ""

    def run(self) -> list[str]:
        """Mend; give the notes."""
        self.keep_common()
        if not self.tables["utt2spk"]:
            reasons = "; ".join(self.notes[:3])
            raise UserError(f"{self.path}: nothing would be left, so nothing was changed ({reasons}); mend it by hand")
        self.drop_unfinished()
        self.write()
        return self.notes

    def keep_common(self) -> None:
        """Keep the utterances that all tables have, and the recordings and speakers that are used."""
        segments = self.tables.get("segments")
        if segments is not None and "wav.scp" in self.tables:
            recordings = set(self.tables["wav.scp"])
            known = {utt for utt, value in segments.items() if split(value)[0] in recordings}
            self.keep("segments", known, "its recording is not in wav.scp")
            self.trim(segments)
        names = [name for name in (*CORE, "segments" if segments is not None else "wav.scp") if name in self.tables]
        common = set.intersection(*(set(self.tables[name]) for name in names))
        for name in names:
            self.keep(name, common, f"not in each of {', '.join(names)}")
        for name in DERIVED:
            self.keep(name, common, "no such utterance")
        used = {split(value)[0] for value in self.tables["segments"].values()} if segments is not None else common
        for name in BY_RECORDING:
            self.keep(name, used, "no utterance uses it")
        for name in BY_SPEAKER:
            self.keep(name, set(self.tables["utt2spk"].values()), "no such speaker")

    def trim(self, segments: dict[str, str]) -> None:
        """Cut the segments that go beyond their recording, drop those that begin behind its end."""
        for utt in list(segments):
            part = parse_segment(segments[utt], utt, "")
            info = self.infos.get(part.recording)
            if info and part.start >= info.seconds:
                self.note("segments", 0, f"dropped {utt!r}: it begins behind its recording's end, {info.seconds:.2f} s")
                del segments[utt]
            elif info and part.end is not None and part.end > info.seconds:
                fields = split(segments[utt])
                segments[utt] = " ".join([*fields[:2], f"{info.seconds:.3f}", *fields[3:]])
                change = f"{info.seconds:.2f} s, was {part.end:g} s"
                self.note("segments", 0, f"cut {utt!r} at its recording's end, {change}")

    def keep(self, name: str, ids: set[str], reason: str) -> None:
        """Cut a table down to `ids`."""
        table = self.tables.get(name, {})
        for key in sorted(table.keys() - ids):
            self.note(name, 0, f"dropped {key!r}: {reason}")
            del table[key]

    def drop_unfinished(self) -> None:
        """Remove derived tables that do not cover every utterance: they are to be computed again."""
        for name in DERIVED:
            if name in self.tables and self.tables[name].keys() != self.tables["utt2spk"].keys():
                self.note(name, 0, "removed: it does not cover every utterance; compute it again")
                del self.tables[name]

    def write(self) -> None:
        """Write the tables that changed, keep the old ones in .backup, and make spk2utt again."""
        speakers: dict[str, list[str]] = {}
        for utt in sorted(self.tables["utt2spk"]):
            speakers.setdefault(self.tables["utt2spk"][utt], []).append(utt)
        inverse = {speaker: " ".join(utts) for speaker, utts in speakers.items()}
        path = self.path / "spk2utt"
        if path.exists():
            self.before["spk2utt"] = path.read_bytes()
        self.tables["spk2utt"] = inverse
        for name in dict.fromkeys([*self.before, "spk2utt"]):
            self.write_one(name)

    def write_one(self, name: str) -> None:
        """Write or remove one table if it changed."""
        path, table = self.path / name, self.tables.get(name)
        lines = [] if table is None else [f"{key} {table[key]}".rstrip(BLANKS) + "\n" for key in sorted(table)]
        if table is not None and "".join(lines).encode() == self.before.get(name):
            return
        if name in self.before:
            (self.path / ".backup").mkdir(exist_ok=True)
            shutil.copy2(path, self.path / ".backup" / name)
        if table is None:
            path.unlink()
            return
        if not any(note.startswith(f"{path}:") for note in self.notes):
            self.note(name, 0, "made again" if name == "spk2utt" else "sorted in C order, blanks tidied")
        write_table(path, table)
