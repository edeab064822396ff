"""CSJ's short-unit files (.sdb): lines to stretches of speech, and the tags of the transcription to plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speechlm.core.errors import UserError

TIME_COLUMN, SURFACE_COLUMN = 3, 5
TIME = re.compile(r"(\d+) ([\d.]+)-([\d.]+) ([A-Z])(?::.*)?")
TAG = re.compile(r"(?:(D2|[A-Z]|\?|笑|泣|咳)[ 　_]*)?")
EVENT = re.compile(r"<[^<>]*>")
NUMERALS = frozenset("０１２３４５６７８９零〇一二三四五六七八九十百千万億．")
FILLER, FRAGMENT = ("F",), ("D", "D2")
INTENDED = ("K", "W", "B")
UNDIVIDED = ("A", "?", *INTENDED, *FILLER, *FRAGMENT)
"""Tags that mean something as a whole only: a stretch of speech does not end within them."""
MOST_FORCED = 4
SAME = str.maketrans("−〜‖", "－～∥")
"""Signs that EUC-JP and Shift_JIS are commonly decoded to differently."""
HIDDEN = "×"
"""Stands for each mora of a name or the like that the publisher has silenced (tag R)."""


@dataclass
class Unit:
    """A stretch between two pauses, the publisher's unit: seconds, speaker's channel (L or R), surface with tags."""

    start: float
    end: float
    channel: str
    surface: str = ""
    count: int = field(default=1)


def decode(path: Path) -> str:
    """Read a file as UTF-8, EUC-JP or Shift_JIS, tried in this order: editions of the corpus differ.

    Raises: UserError when it is none of them.
    """
    content = path.read_bytes()
    for encoding in ("utf-8", "euc_jp", "cp932"):
        try:
            return content.decode(encoding).translate(SAME)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: neither Shift_JIS nor EUC-JP nor UTF-8; copy it again")


def read_sdb(path: Path) -> list[Unit]:
    """Read a lecture's units in order; the morphemes of one are joined, their analysis is not looked at.

    Raises: UserError with file and line where a line is not of the published form.
    """
    units: list[Unit] = []
    last = ("", "")
    for number, line in enumerate(decode(path).splitlines(), start=1):
        if not line.strip():
            continue
        columns = line.split("\t")
        found = TIME.fullmatch(columns[TIME_COLUMN].strip()) if len(columns) > SURFACE_COLUMN else None
        if not found:
            raise UserError(
                f"{path}:{number}: column 4 must be like '0001 00000.415-00001.120 L:-001-001'; copy the file again"
            )
        unit = (found[1], found[4])
        if unit != last:
            units.append(Unit(float(found[2]), float(found[3]), found[4]))
            last = unit
        units[-1].surface += columns[SURFACE_COLUMN].strip().removesuffix("・")
    return units


def join_units(units: Iterable[Unit], *, pause: float, most: float) -> Iterator[Unit]:
    """Join one speaker's units to utterances: over pauses of up to `pause` seconds, until one is longer than `most`.

    The rule of Kaldi's recipe, so that the test sets have the same utterances. Besides, a tag that counts as a whole
    is not cut, unless it stays open for more than a few units (a slip in the transcript).
    """
    waiting: Unit | None = None
    forced = 0
    for unit in units:
        if waiting is not None:
            near = unit.start - waiting.end <= pause and waiting.end - waiting.start <= most
            forced = 0 if near else forced + 1
            if near or (forced <= MOST_FORCED and open_tags(waiting.surface) & set(UNDIVIDED)):
                waiting = Unit(waiting.start, unit.end, unit.channel, waiting.surface + unit.surface, waiting.count + 1)
                continue
            yield waiting
        waiting, forced = Unit(unit.start, unit.end, unit.channel, unit.surface), 0
    if waiting is not None:
        yield waiting


def open_tags(surface: str) -> set[str]:
    """Name the tags that are not closed at the end of a text."""
    reader = _Reader(surface)
    reader.text()
    return set(reader.open)


def plain_text(surface: str, *, fillers: bool = True, fragments: bool = True) -> str:
    """Take the tags out of a surface text.

    `(F えー)` fillers and `(D こ)`, `(D2 は)` fragments stay, or go with fillers, fragments = False. Of `(W ギーツ;ギジュツ)`,
    `(K たち (F んー) ばな;橘)` and `(B …;…)` what was meant stays. `(A シーディー;ＣＤ)` is ＣＤ, but numbers stay as they are
    said: `(A 二千三;２００３)` is 二千三, as in Kaldi's recipe. Of `(? 言語,原語)` the first guess stays. Other tags, as
    `(笑 …)`, `(O …)`, `(M …)`, `(R ×××)`, leave what is in them, events, as `<雑音>`, nothing. ん and ン lose a long mark
    after them, as in Kaldi's references.
    """
    text = _Reader(surface, fillers, fragments).text()
    text = re.sub(r"[\x00-\x7f　]", "", text)
    return re.sub(r"([んン])ー+", r"\1", text).replace("ヮ", "ワ").replace("ゎ", "わ")


class _Reader:
    """Reads nested tags from left to right; a bracket without its partner does no harm."""

    def __init__(self, marked: str, fillers: bool = True, fragments: bool = True) -> None:
        self.marked = EVENT.sub("", marked)
        self.dropped = (() if fillers else FILLER) + (() if fragments else FRAGMENT)
        self.at = 0
        self.open: list[str] = []

    def text(self) -> str:
        """Give all of it."""
        found = ""
        while self.at < len(self.marked):
            found += "".join(self._pieces())
            self.at += 1  # a closing bracket that closes nothing
        return found

    def _pieces(self) -> list[str]:
        """Read up to the end of the tag (or of the text): the text, parted at ASCII `;` and `,`."""
        pieces = [""]
        while self.at < len(self.marked) and (letter := self.marked[self.at]) != ")":
            self.at += 1
            if letter == "(":
                pieces[-1] += self._tag()
            elif letter in ";,":
                pieces.append("")
            else:
                pieces[-1] += letter
        return pieces

    def _tag(self) -> str:
        found = TAG.match(self.marked, self.at)
        assert found is not None  # the pattern matches nothing, too
        self.at, name = found.end(), found[1] or ""
        pieces = self._pieces()
        if self.at >= len(self.marked):
            self.open.append(name)
        self.at += 1
        if name in self.dropped:
            return ""
        if name == "A":
            return pieces[0] if NUMERALS & set(pieces[0]) else pieces[-1]
        if name in INTENDED:
            return pieces[-1]
        return pieces[0] if name == "?" else "".join(pieces)
