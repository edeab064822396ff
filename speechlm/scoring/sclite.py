"""NIST sclite's files: trn transcripts that no sign can spoil, and sclite's tables, made by it or by us."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from speechlm.io.files import atomic_open
from speechlm.scoring.align import Counts
from speechlm.scoring.spkr_table import summary_tables
from speechlm.scoring.wer import Tally

LOGGER = logging.getLogger(__name__)
LIMIT = 50_000
"""Utterances above which sclite is not run: it holds everything in memory, a million would need tens of GB."""
TIMEOUT = 600.0

# `@` alone is sclite's empty word, `{ a / b }` a choice, `;;` and `**` at the start of a line a comment, `\` an escape,
# `(x)` optional. Written as %40, %7B ... they are ordinary characters; `%` itself too, so that nothing falls together.
SPECIAL = re.compile(r"[@{}();*\\%]")
SPEAKER_SPECIAL = re.compile(r"[@{}();*\\%_-]")  # sclite cuts the speaker from the id at the first - or _
CAPITAL = re.compile(r"[A-Z]")


def escape(text: str, special: re.Pattern[str] = SPECIAL) -> str:
    """Write the signs that mean something to sclite as %XX, like an URL does."""
    return special.sub(lambda found: f"%{ord(found.group()):02X}", text) if special.search(text) else text


class _Names:
    """Names that stay different for sclite, which does not look at the case of ids."""

    def __init__(self, special: re.Pattern[str]) -> None:
        self.special = special
        self.taken: set[str] = set()

    def write(self, name: str) -> str:
        """Escape a name; one that differs from an earlier one by case only gets its capitals escaped too."""
        made = escape(name, self.special)
        if made.lower() in self.taken:
            made = escape(made, CAPITAL)
        self.taken.add(made.lower())
        return made


class TrnWriter:
    """Writes `ref.trn` and `hyp.trn` while the utterances pass by: `WORDS (speaker-utterance)`."""

    def __init__(self, folder: Path, units: list[str]) -> None:
        self.folder = folder
        self._units, self._seen, self._special = units, 0, False  # the vocabulary tells if anything must be escaped
        self.speakers: dict[str, Tally] = {}
        self._stack = ExitStack()
        self._refs: list[str] = []
        self._hyps: list[str] = []
        self._utts = _Names(SPECIAL)
        self._names: dict[str, str] = {}
        self._speaker_names = _Names(SPEAKER_SPECIAL)

    def __enter__(self) -> TrnWriter:
        self._ref = self._stack.enter_context(atomic_open(self.folder / "ref.trn"))
        self._hyp = self._stack.enter_context(atomic_open(self.folder / "hyp.trn"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, utt: str, speaker: str, ref: str, hyp: str, counts: Counts, missing: bool = False) -> None:
        """Write one utterance, units parted by blanks; a missing hypothesis is empty and counts as deletions."""
        name = self._names.get(speaker)
        if name is None:
            name = self._names[speaker] = self._speaker_names.write(speaker)
            self.speakers[name] = Tally()
        self.speakers[name].add(counts, missing)
        place = f" ({name}-{self._utts.write(utt)})\n"
        if self._seen < len(self._units):
            self._special |= any(map(SPECIAL.search, self._units[max(self._seen, 1) :]))
            self._seen = len(self._units)
        if self._special:
            ref, hyp = escape(ref), escape(hyp)
        self._refs.append(ref + place)
        self._hyps.append(hyp + place)

    def flush(self) -> None:
        """Put the lines of the utterances since the last time into the files."""
        for file, lines in ((self._ref, self._refs), (self._hyp, self._hyps)):
            file.write("".join(lines))
            lines.clear()


def find_sclite() -> Path | None:
    """Look for sclite on PATH, where Debian's package sctk puts it, and under tools/."""
    tools = Path(__file__).resolve().parents[2] / "tools"
    places = [shutil.which("sclite") or "", "/usr/lib/sctk/bin/sclite"]
    places += sorted(map(str, [*tools.glob("*/bin/sclite"), *tools.glob("build/*/bin/sclite")]))
    return next((Path(place) for place in places if place and os.access(place, os.X_OK)), None)


def report(folder: Path, speakers: dict[str, Tally], unit: str, *, use: str = "auto", limit: int = LIMIT) -> Path:
    """Write `result.txt` beside the trn files: sclite's own tables, or the same tables made here and a line saying so.

    speakers: counts by name as in the trn files. unit: word, char or mixed. use: auto runs sclite if it is installed
    and the set is not larger than `limit` utterances, never does not.
    """
    result = folder / "result.txt"
    for old in ("result.pra", "result.dtl", "sclite.log"):
        (folder / old).unlink(missing_ok=True)
    total = sum(tally.utterances for tally in speakers.values())
    program = find_sclite() if use == "auto" else None
    if use != "auto":
        why = "sclite was switched off"
    elif program is None:
        why = "sclite is not installed (Debian: apt-get install sctk)"
    elif total > limit:
        why = f"{total} utterances are more than sclite's memory should be asked for (limit {limit})"
    else:
        why = _run(program, folder, speakers)
    if why:
        LOGGER.info("%s: the tables are made here: %s", result, why)
        tables = summary_tables("hyp.trn", speakers, unit)
        with atomic_open(result) as file:
            file.write(f"Made by speechlm in sclite's layout: {why}.\n{tables}")
    return result


def _run(program: Path, folder: Path, speakers: dict[str, Tally]) -> str:
    """Run sclite and put its tables into `result.txt`; give "" or why its result cannot be used."""
    command = [str(program), "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm", "-e", "utf-8", "-s"]
    command += ["-o", "sum", "rsum", "pra", "dtl", "-O", ".", "-n", "result"]
    with open(folder / "sclite.log", "w", encoding="utf-8") as log:
        try:
            status = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=TIMEOUT
            ).returncode
        except subprocess.TimeoutExpired:
            return f"sclite did not end within {TIMEOUT:.0f} s"
    if status != 0:
        return f"sclite ended with status {status}, see {folder / 'sclite.log'}"
    percents, raw = (_taken(folder / name) for name in ("result.sys", "result.raw"))
    found = _sums(raw)
    wanted = [sum(getattr(tally, name) for tally in speakers.values()) for name in ("utterances", "words", "errors")]
    if found[:2] != wanted[:2]:  # an utterance that sclite drops makes the error rate look better, and it says nothing
        return f"sclite scored {found[:2]} utterances and words, not {wanted[:2]}; see {folder / 'sclite.log'}"
    if found[2] != wanted[2]:
        # A substitution weighs 4 for sclite, an insertion or a deletion 3: it may find more errors than the fewest.
        LOGGER.info("%s: sclite counts %d errors where the fewest are %d", folder, found[2], wanted[2])
    with atomic_open(folder / "result.txt") as file:
        file.write(f"Made by {program}: {' '.join(command[1:])}\n{percents}{raw}")
    return ""


def _taken(path: Path) -> str:
    """Read a report and remove it: its text goes into `result.txt`."""
    text = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return text


def _sums(raw: str) -> list[int]:
    """Read utterances, words and errors from the row `Sum` of the table of counts."""
    for line in raw.splitlines():
        cells = line.replace("|", " ").split()
        if cells[:1] == ["Sum"]:
            return [int(cells[1]), int(cells[2]), int(cells[7])]
    return []
