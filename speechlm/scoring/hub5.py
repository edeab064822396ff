"""Score telephone conversations as NIST does: stm and glm, filtered and aligned by sctk's own programs."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.io.segments import parse_segment
from speechlm.io.tables import read_table
from speechlm.scoring.sclite import find_sclite

LOGGER = logging.getLogger(__name__)
TIMEOUT = 1800.0
JOINED = {pair: "-".join(pair) for pair in (("uh", "huh"), ("um", "hum"), ("mm", "hmm"), ("mm", "hm"), ("huh", "uh"))}
"""Back-channels that glm files know with a hyphen and our normaliser parts."""


@dataclass(frozen=True)
class Sums:
    """A row `Sum` of sclite: segments, words, correct, substitutions, deletions, insertions, errors."""

    segments: int
    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """All errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def line(self) -> str:
        """Say it in Kaldi's form."""
        rate = 100 * self.errors / self.words if self.words else float("nan")
        counts = f"{self.insertions} ins, {self.deletions} del, {self.substitutions} sub"
        return f"%WER {rate:.2f} [ {self.errors} / {self.words}, {counts} ]"


def ctm_lines(hyps: dict[str, str], segments: dict[str, str], labels: tuple[str, str]) -> list[str]:
    """Write hypotheses as ctm lines `file channel start duration word`, in the order of time.

    The words of an utterance share its time evenly: utterances are the reference's own segments, so every word falls
    into the right one, and sclite looks at nothing else. labels: how the reference writes the two sides.
    """
    rows = []
    for utt, text in hyps.items():
        if utt not in segments:
            raise UserError(f"hypothesis '{utt}': has no line in segments; decode the directory that is scored")
        part = parse_segment(segments[utt], utt, "segments")
        words = _joined(text.split())
        step = ((part.end or part.start) - part.start) / max(len(words), 1)
        rows += [(part.recording, labels[part.channel or 0], part.start + i * step, step, word) for i, word in enumerate(words)]
    return [f"{file} {side} {start:.3f} {length:.3f} {word}\n" for file, side, start, length, word in sorted(rows)]


def _joined(words: list[str]) -> list[str]:
    made: list[str] = []
    for word in words:
        if made and (made[-1], word) in JOINED:
            made[-1] = JOINED[made[-1], word]
        else:
            made.append(word)
    return made


def score_hub5(data: Path, decoded: Path) -> dict[str, Sums]:
    """Score a decode folder against `data/{stm,glm,segments}`; give the sums of all and of each kind of recording.

    Writes `scoring_hub5/{hyp.ctm,ref.stm}` and sctk's reports beside them; a kind is what a recording's name begins
    with (sw, en, fsh). Raises UserError when sctk or a file is not there, or its report cannot be understood.
    """
    sclite = find_sclite()
    if sclite is None:
        raise UserError("sclite is not installed (Debian: apt-get install sctk); scores with glm_plain are in scoring_kaldi")
    for name in ("stm", "glm", "segments"):
        if not (data / name).exists():
            raise UserError(f"{data}/{name}: no such file; stage 0 writes it where the corpus has it")
    segments, hyps = read_table(data / "segments"), read_table(decoded / "text")
    lines = [line for line in (data / "stm").read_text(encoding="utf-8").splitlines() if line.strip()]
    turns = [line for line in lines if not line.startswith(";;")]
    labels = ("1", "2") if turns and turns[0].split()[1] in ("1", "2") else ("A", "B")
    found = {}
    kinds = sorted({re.split(r"[_\d]", line)[0] for line in turns})
    for kind in ["all", *(kinds if len(kinds) > 1 else [])]:
        folder = decoded / "scoring_hub5" / kind
        folder.mkdir(parents=True, exist_ok=True)
        mine = [line for line in lines if kind == "all" or line.startswith((";;", kind))]  # the header defines labels
        spoken = [line for line in ctm_lines(hyps, segments, labels) if kind == "all" or line.startswith(kind)]
        with atomic_open(folder / "ref.stm") as file:
            file.writelines(f"{line}\n" for line in mine)
        with atomic_open(folder / "hyp.ctm") as file:
            file.writelines(spoken)
        shutil.copyfile(data / "glm", folder / "glm")
        found[kind] = _run(sclite, folder)
    return found


def _run(sclite: Path, folder: Path) -> Sums:
    """Filter and score with hubscr.pl, NIST's script for this test."""
    tools = sclite.parent
    command = ["perl", str(tools / "hubscr.pl"), "-p", str(tools), "-V", "-l", "english", "-h", "hub5",
               "-g", "glm", "-r", "ref.stm", "hyp.ctm"]  # fmt: skip
    for old in folder.glob("hyp.ctm.filt*"):
        old.unlink()
    with open(folder / "hubscr.log", "w", encoding="utf-8") as log:
        status = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                timeout=TIMEOUT).returncode  # fmt: skip
    raw = folder / "hyp.ctm.filt.raw"
    if status != 0 and raw.exists():  # a label without a definition: the counts are there, the table by labels is not
        LOGGER.warning("hubscr.pl ended with status %d; see %s", status, folder / "hubscr.log")
    if not raw.exists():
        raise UserError(f"hubscr.pl ended with status {status}; see {folder / 'hubscr.log'}")
    for line in raw.read_text(encoding="utf-8", errors="replace").splitlines():
        cells = line.replace("|", " ").split()
        if cells[:1] == ["Sum"]:
            segments, words, _, sub, deleted, inserted = map(int, cells[1:7])
            return Sums(segments, words, sub, deleted, inserted)
    raise UserError(f"{raw}: has no row 'Sum'; see {folder / 'hubscr.log'}")
