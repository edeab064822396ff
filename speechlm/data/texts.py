"""The sentences of a text-only directory, read from disk as they are asked for: 100 times a corpus' text fits (2409.16005)."""

from __future__ import annotations

import logging
import mmap
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from speechlm.core.errors import UserError
from speechlm.data.select import Limits, reason_of, summary_line
from speechlm.io.tables import Fault, Row, duplicate_fault, open_table, order_fault, parse_line, value_fault
from speechlm.text.normalize import Language, normalize

LOGGER = logging.getLogger(__name__)

MISSING = -1
"""Place of an utterance that has a speaker and no line in `text`."""


class Lines:
    """A table in C order, mapped from the disk; a line is found by its place in bytes or by its id.

    Safe to copy into worker processes: each maps the file itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_bytes": None}

    @property
    def bytes(self) -> mmap.mmap:
        """The whole file."""
        if self._bytes is None:
            with open(self.path, "rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._bytes

    def row(self, place: int) -> Row:
        """Read the line that begins at byte `place`; it was found sound when the table was gone through."""
        end = self.bytes.find(b"\n", place)
        row = parse_line(self.bytes[place : len(self.bytes) if end < 0 else end], 0, str(self.path))
        if isinstance(row, Fault):
            raise UserError(f"{self.path}: was changed while it was read; start again")
        return row

    def find(self, key: str) -> Row | None:
        """Find the line of an id by halving the file."""
        low, high = 0, len(self.bytes)  # the line begins in [low, high)
        while low < high:
            start = self.bytes.rfind(b"\n", low, (low + high) // 2) + 1 or low
            row = self.row(start)
            if row.key == key:
                return row
            if row.key < key:
                end = self.bytes.find(b"\n", start)
                low = len(self.bytes) if end < 0 else end + 1
            else:
                high = start
        return None


def rows_of(path: Path, *, values: bool) -> Iterator[tuple[int, Row]]:
    """Go through a table: (place in bytes, row), constant memory.

    values: refuse a line that has only an id.

    Raises: UserError for the first broken rule, with file and line.
    """
    place, before = 0, ""
    with open_table(path) as file:
        for line, raw in enumerate(file, start=1):
            row = parse_line(raw.rstrip(b"\n"), line, str(path))
            if isinstance(row, Row):
                if line > 1 and row.key <= before:
                    again = row.key == before
                    row = duplicate_fault(row, line - 1, str(path)) if again else order_fault(before, row, str(path))
                elif values and not row.value:
                    row = value_fault(row, str(path))
            if isinstance(row, Fault):
                raise UserError(str(row))
            yield place, row
            place, before = place + len(raw), row.key


class TextSelection:
    """The sentences that are used, in C order of their ids: eight bytes of memory for each.

    What it gives is what `speechlm.data.select.select` gives of the same directory for a source without sound. Of the
    table `text` the place of each line is kept; speakers are found in utt2spk by id.

    Raises: UserError when a table breaks a rule, or nothing is left.
    """

    def __init__(self, folder: Path, language: Language, limits: Limits) -> None:
        self.name, self.language = str(folder), language
        self.lines = Lines(folder / "text")
        self.speakers = Lines(folder / "utt2spk") if (folder / "utt2spk").exists() else None
        self.one_speaker: str | None = None
        self.skipped: dict[str, list[str]] = {}
        self.absent: dict[int, str] = {}
        places = array("q")
        for utt, place, value in self._joined():
            text = normalize(value, language)
            if reason := reason_of(text, 0.0, limits, spoken=False):
                self.skipped.setdefault(reason, []).append(utt)
                continue
            if place == MISSING:
                self.absent[len(places)] = utt
            places.append(place)
        self.places = np.frombuffer(places, dtype=np.int64) if places else np.zeros(0, dtype=np.int64)
        self.ids: Sequence[str] = LazyIds(self.id_of, len(places))
        LOGGER.info("%s", self.line())
        if not len(places):
            raise UserError(f"{self.line()}; check the directory, or the limits of the section 'data'")

    def _joined(self) -> Iterator[tuple[str, int, str]]:
        """Go through utt2spk and text side by side: (id, place in text, transcript) of what is in utt2spk."""
        texts = rows_of(self.lines.path, values=False)
        if self.speakers is None:
            yield from ((row.key, place, row.value) for place, row in texts)
            return
        found = set()
        place, text = next(texts, (0, None))
        for _, row in rows_of(self.speakers.path, values=True):
            if len(found) < 2:
                found.add(row.value)
            while text is not None and text.key < row.key:
                place, text = next(texts, (0, None))
            if text is not None and text.key == row.key:
                yield row.key, place, text.value
            else:
                yield row.key, MISSING, ""
        for _ in texts:
            pass  # to the end, so that a broken line is told
        self.one_speaker = found.pop() if len(found) == 1 else None

    def line(self) -> str:
        """Say in one line what is used and what is left out."""
        return summary_line(self.name, len(self.places), 0.0, self.skipped)

    def id_of(self, index: int) -> str:
        """Give the id of an utterance."""
        place = int(self.places[index])
        return self.absent[index] if place == MISSING else self.lines.row(place).key

    def text_of(self, index: int) -> str:
        """Give the normalised text of an utterance."""
        place = int(self.places[index])
        return "" if place == MISSING else normalize(self.lines.row(place).value, self.language)

    def speaker_of(self, index: int) -> str:
        """Give the speaker of an utterance, its id where nothing tells."""
        if self.one_speaker is not None:
            return self.one_speaker
        utt = self.id_of(index)
        row = self.speakers.find(utt) if self.speakers is not None else None
        return utt if row is None else row.value

    def seconds_of(self, index: int) -> float:
        """There is no audio."""
        return 0.0


class LazyIds(Sequence[str]):
    """Ids that are read when they are asked for."""

    def __init__(self, read: Callable[[int], str], size: int) -> None:
        self.read, self.size = read, size

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(self.size))]
        if not -self.size <= index < self.size:
            raise IndexError(index)
        return self.read(index % self.size)
