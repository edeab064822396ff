"""Bring references, hypotheses and speakers together, in constant memory where the tables are sorted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from speechlm.core.errors import UserError
from speechlm.io.tables import iter_table, read_table

ALL = "all"
"""The speaker of a set without utt2spk."""


class Pair(NamedTuple):
    """One utterance: its transcript, and what was recognised (None where there is no hypothesis)."""

    id: str
    speaker: str
    ref: str
    hyp: str | None


def read_pairs(ref: Path | str, hyp: Path | str, utt2spk: Path | str | None = None) -> Iterator[Pair]:
    """Give every reference with its hypothesis and speaker, in C order of the ids.

    Sorted tables are read side by side, a line at a time; others are held in memory.

    Raises: UserError with file and line for an id that stands twice, a hypothesis without a reference, an utterance
    without a speaker, and whatever a table may not hold.
    """
    paths = [ref, hyp] + ([utt2spk] if utt2spk else [])
    tables = [_rows(path, all(map(is_sorted, paths))) for path in paths]
    hyps = tables[1]
    speakers = tables[2] if utt2spk else None
    waiting, speaker = next(hyps, None), ("", ALL)
    empty = True
    for key, text in tables[0]:
        empty = False
        if waiting and waiting[0] < key:
            raise _unknown(hyp, waiting[0], ref)
        found = None
        if waiting and waiting[0] == key:
            found, waiting = waiting[1], next(hyps, None)
        if speakers is not None:
            while speaker is not None and speaker[0] < key:
                speaker = next(speakers, None)  # type: ignore[assignment]
            if speaker is None or speaker[0] != key:
                raise UserError(f"{utt2spk}: has no line for '{key}' of {ref}; add its speaker")
        yield Pair(key, speaker[1], text, found)
    if waiting:
        raise _unknown(hyp, waiting[0], ref)
    if empty:
        raise UserError(f"{ref}: is empty; there is nothing to score")


def is_sorted(path: Path | str) -> bool:
    """Look whether the ids rise strictly (so that none stands twice); costs a fraction of reading the table."""
    before = b""
    try:
        with open(path, "rb") as file:
            for line in file:
                key = line.split(None, 1)[:1]
                if not key or key[0] <= before:
                    return False
                before = key[0]
    except OSError:
        return False
    return True


def _rows(path: Path | str, ordered: bool) -> Iterator[tuple[str, str]]:
    if ordered:
        return iter_table(path)
    return iter(sorted(read_table(path).items()))


def _unknown(hyp: Path | str, key: str, ref: Path | str) -> UserError:
    """Name the first hypothesis that no reference asks for, with its line."""
    for line, (found, _) in enumerate(iter_table(hyp), start=1):
        if found == key:
            return UserError(f"{hyp}:{line}: hypothesis '{key}' has no reference in {ref}; score the set that was decoded")
    raise AssertionError(f"{key} was read from {hyp} before")
