"""NIST's references of conversational telephone speech: stm lines, pem partitions, glm rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.text.normalize import normalize

IGNORED = "ignore_time_segment_in_scoring"
HESITATION = "%hesitation"
RULE = re.compile(r"\[([^\]]*)\]\s*=>\s*(\[[^\]]*\]|\{[^}]*\}|[^/\s\[{][^/]*)?\s*(/.*)?")


@dataclass(frozen=True)
class Turn:
    """A line of an stm file: who said what where. channel: as written, A, B, 1 or 2. number: of the line, from 1."""

    file: str
    channel: str
    speaker: str
    start: float
    end: float
    words: str
    number: int = 0

    @property
    def side(self) -> int:
        """Channel from 0."""
        return 0 if self.channel in ("A", "1") else 1

    @property
    def id(self) -> str:
        """Kaldi's name: file, side and times in hundredths of a second."""
        return f"{self.file}-{'AB'[self.side]}_{round(100 * self.start):06d}-{round(100 * self.end):06d}"


def read_stm(path: Path) -> list[Turn]:
    """Read the lines that are scored. Raises UserError with file and line for one that is not in the form."""
    turns = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip() or line.startswith(";;"):
            continue
        fields = line.split(None, 5)
        try:
            file, channel, speaker, start, end = *fields[:3], float(fields[3]), float(fields[4])
        except (IndexError, ValueError):
            raise UserError(f"{path}:{number}: must be 'file channel speaker start end <label> words', is '{line}'") from None
        if channel.upper() not in ("A", "B", "1", "2"):
            raise UserError(f"{path}:{number}: channel '{channel}' must be A, B, 1 or 2")
        words = re.sub(r"^<[^>]*>\s*", "", fields[5]) if len(fields) > 5 else ""
        if words.lower() != IGNORED and end > start:
            turns.append(Turn(file, channel.upper(), speaker, start, end, words, number))
    return turns


def read_pem(path: Path) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """Read the partition that is to be recognised: (file, side) -> times."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        try:
            start, end = float(fields[3]), float(fields[4])
        except (IndexError, ValueError):
            raise UserError(f"{path}:{number}: must be 'file channel speaker start end', is '{line}'") from None
        found.setdefault((fields[0], 0 if fields[1] in ("A", "1") else 1), []).append((start, end))
    return found


def inside(turn: Turn, parts: dict[tuple[str, int], list[tuple[float, float]]]) -> bool:
    """Say if a turn lies in the partition, to a hundredth of a second."""
    times = parts.get((turn.file, turn.side), ())
    return any(start - 0.011 <= turn.start and turn.end <= end + 0.011 for start, end in times)


def reference_words(words: str) -> str:
    """Bring an stm transcript to plain words, for a scorer that knows no choices.

    Words in parentheses (hesitations, partial words) are free to be left out: they are left out. Of `{ a / b }` the
    first is taken, `@` is no word.
    """
    words = re.sub(r"\([^()]*\)", " ", words)
    words = re.sub(r"\{([^/{}]*)(/[^{}]*)*\}", r" \1 ", words)
    kept = [word for word in words.lower().split() if word not in ("@", HESITATION)]
    return normalize(" ".join(kept), "en")


def plain_glm(lines: Iterable[str]) -> list[str]:
    """Bring NIST's rules to the ones that our scorer reads: normalised words, no context, hesitations to nothing.

    Rules with a context and rules that change nothing after normalisation are left out; of alternatives the first
    is taken. The first rule for a left side counts.
    """
    rules: dict[str, str] = {}
    for line in lines:
        found = RULE.match(line.split(";;")[0].strip())
        context = re.sub(r"[\s/\[\]_]", "", (found.group(3) or "") if found else "")
        if not found or context:
            continue
        right = (found.group(2) or "").strip()
        first = right.strip("{}").split("/")[0] if right.startswith("{") else right
        said = first.strip("[] ").lower()
        left, made = normalize(found.group(1), "en"), "" if said in (HESITATION, f"({HESITATION})") else normalize(said, "en")
        if left and left != made:
            rules.setdefault(left, made)
    return [f"[{left}] => [{made}]" for left, made in sorted(rules.items())]


HESITATIONS = ("uh", "um", "eh", "mm", "hm", "ah", "huh", "ha", "er", "oof", "hee", "ach", "eee", "ew")
"""Hesitations of hub5's own rules, for a set that comes without a glm."""
