"""The lines of `segments`: where in a recording an utterance lies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from speechlm.core.errors import UserError
from speechlm.io.tables import split

# Python's float() takes more than any other program that reads the file: 1_0, fullwidth digits, blanks.
NUMBER = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

@dataclass(frozen=True)
class Segment:
    """A part of a recording: start and end in seconds (end None: to the end), channel from 0 (None: the only one)."""

    recording: str
    start: float
    end: float | None
    channel: int | None


def parse_segment(value: str, utt: str, place: str) -> Segment:
    """Read "recording start end [channel]"; an end of -1 means the end of the recording, as in Kaldi.

    place: the file, for the message.

    Raises: UserError when it has not 3 or 4 fields, a time is no number >= 0, or the end is not after the start.
    """
    fields = split(value)
    if len(fields) not in (3, 4):
        form = "utterance recording start end [channel]"
        raise UserError(f"{place}: {utt!r} has {len(fields) + 1} fields; write: {form}")
    start = number(fields[1], utt, place)
    end = None if fields[2] in ("-1", "-1.0") else number(fields[2], utt, place)
    if end is not None and end <= start:
        raise UserError(f"{place}: {utt!r} ends at {end:g} s, not after its start at {start:g} s; correct the times")
    if len(fields) == 4 and not (fields[3].isascii() and fields[3].isdigit()):
        raise UserError(f"{place}: {utt!r} has channel {fields[3]!r}; write 0, 1, ... or nothing")
    return Segment(fields[0], start, end, int(fields[3]) if len(fields) == 4 else None)


def number(value: str, utt: str, place: str) -> float:
    """Read seconds: a finite number >= 0.

    Raises: UserError otherwise.
    """
    seconds = float(value) if NUMBER.fullmatch(value) else math.nan
    if not math.isfinite(seconds):
        raise UserError(f"{place}: {utt!r} has the time {value!r}; write seconds, a number >= 0")
    return seconds
