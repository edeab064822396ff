"""Any Chinese text to sentences as they are spoken: cut, normalised, of a length, of Chinese characters only."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.text.normalize import HAN, normalize

ENDS = re.compile(r"[。！？!?；;…\n]+")
PAUSES = re.compile(r"[，,、：:]+")
CHINESE = re.compile(f"[{HAN}]+")


def sentences(text: str, *, shortest: int, longest: int) -> Iterator[str]:
    """Cut text at the ends of sentences; what is then too long, at its commas; give what has Chinese characters only.

    shortest, longest: characters that a sentence must have at least and at most; others are left out.
    """
    for whole in ENDS.split(text):
        for piece in _pieces(whole, longest):
            plain = normalize(piece, "zh")
            if shortest <= len(plain) <= longest and CHINESE.fullmatch(plain):
                yield plain


def _pieces(whole: str, longest: int) -> Iterator[str]:
    """Give a sentence whole, or the longest runs of its clauses that are short enough."""
    if len(whole) <= longest:
        yield whole
        return
    run = ""
    for clause in PAUSES.split(whole):
        if run and len(run) + len(clause) > longest:
            yield run
            run = ""
        run += clause
    yield run


def read_lines(path: Path | str) -> Iterator[str]:
    """Read a text file line by line, packed with gzip or not; it may be of any size.

    Raises UserError with file and line where it is no UTF-8.
    """
    opened = gzip.open if str(path).endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield line.decode("utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise UserError(f"{path}:{number}: not UTF-8; convert the file with iconv") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give text files, a sentence or a paragraph a line") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: a damaged gzip file ({error}); fetch it again") from None
