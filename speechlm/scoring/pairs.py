"""Bring references, hypotheses and speakers together: fast where the tables are in order, else with all checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from speechlm.core.errors import UserError
from speechlm.io.tables import iter_table, read_table

BLOCK = 1 << 20
ALL = "all"
"""The speaker of a set without utt2spk."""

Rows = Iterator[tuple[str, str]]


class Pair(NamedTuple):
    """One utterance: its transcript, and what was recognised (None where there is no hypothesis)."""

    id: str
    speaker: str
    ref: str
    hyp: str | None


class NotPlain(Exception):
    """A table cannot be read fast; it need not be wrong: all checks will tell."""


def read_pairs(
    ref: Path | str, hyp: Path | str, utt2spk: Path | str | None = None, *, careful: bool = True
) -> Iterator[Pair]:
    """Give every reference with its hypothesis and speaker, in C order of the ids.

    careful: hold the tables in memory and check all that a table must keep to; otherwise they are read side by side, a
    line at a time, until something is not as it should be.

    Raises: NotPlain if not careful. Else UserError with file and line: what a table may not hold, an id that stands
    twice, a hypothesis without a reference, an utterance without a speaker.
    """
    paths = [ref, hyp] + ([utt2spk] if utt2spk else [])
    tables: list[Rows] = [iter(sorted(read_table(path).items())) if careful else _plain_rows(path) for path in paths]
    speakers = tables[2] if utt2spk else None
    hyps = tables[1]
    waiting, speaker = next(hyps, None), ("", ALL)
    for key, text in tables[0]:
        if waiting and waiting[0] < key:
            break
        found = None
        if waiting and waiting[0] == key:
            found, waiting = waiting[1], next(hyps, None)
        if speakers is not None:
            while speaker[0] < key:
                speaker = next(speakers, ("\U0010ffff", ""))
            if speaker[0] != key:
                if not careful:
                    raise NotPlain
                raise UserError(f"{utt2spk}: has no line for '{key}' of {ref}; add its speaker")
        yield Pair(key, speaker[1], text, found)
    if waiting:
        raise _unknown(hyp, waiting[0], ref) if careful else NotPlain


def _plain_rows(path: Path | str) -> Rows:
    """Read a table a block at a time; a sign that is not printable or an id that does not rise is not plain."""
    before = ""
    try:
        with open(path, "rb") as file:
            while lines := file.readlines(BLOCK):
                text = b"".join(lines).decode("utf-8").removesuffix("\n")
                if not text.replace("\n", "").isprintable():
                    raise NotPlain
                for line in text.split("\n"):
                    key, _, value = line.partition(" ")
                    if key <= before or "/" in key:
                        raise NotPlain
                    before = key
                    yield key, value
    except (OSError, UnicodeDecodeError) as error:
        raise NotPlain from error


def _unknown(hyp: Path | str, key: str, ref: Path | str) -> UserError:
    """Name the first hypothesis that no reference asks for, with its line."""
    for line, (found, _) in enumerate(iter_table(hyp), start=1):
        if found == key:
            place = f"{hyp}:{line}: hypothesis '{key}' has no reference in {ref}"
            return UserError(f"{place}; score the set that was decoded")
    raise AssertionError(f"{key} was read from {hyp} before")
