"""Kaldi's tables: one line is an id, a blank and the rest; ids are unique and sorted as `LC_ALL=C sort` does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open

# Only ASCII blanks part the id from the rest: the ideographic space U+3000 belongs to the text.
BLANKS = " \t\v\f"
LINE = re.compile(r"[ \t]*([^ \t]+)(?:[ \t]+(.*))?", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Fault:
    """One broken rule in one place. `rule` is a short stable name, `fix` says what to do, `detail` what is wrong."""

    file: str
    line: int
    rule: str
    fix: str
    detail: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.detail or self.rule}; {self.fix} [{self.rule}]"


class Row(NamedTuple):
    """One line of a table: its number (from 1), the id, and the rest without blanks around it ("" if none)."""

    line: int
    key: str
    value: str


def parse_line(raw: bytes, line: int, file: str) -> Row | Fault:
    """Read one line (without its newline) or say which rule it breaks."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}"
        return Fault(file, line, "utf-8", "convert the file with iconv", detail)
    if text.isprintable():  # the usual line: no control characters, tabs or wide blanks to look for
        key, _, value = text.partition(" ")
        if key and "/" not in key:
            return Row(line, key, value.strip(" "))
    if text.endswith("\r"):
        return Fault(file, line, "line-end", "use plain newlines (utils/fix_data_dir.sh does)", "Windows line end")
    if line == 1 and text.startswith("\ufeff"):
        return Fault(file, line, "byte-order-mark", "remove the first three bytes", "starts with a byte order mark")
    match = LINE.fullmatch(text)
    if match is None:
        return Fault(file, line, "empty-line", "remove the line", "empty line")
    key, value = match.group(1), (match.group(2) or "").rstrip(BLANKS)
    if CONTROL.search(key):
        return Fault(file, line, "id-control", "rename the id", f"control character in the id {key!r}")
    if "/" in key:
        return Fault(file, line, "id-slash", "rename it: ids become file names", f"slash in the id {key!r}")
    if value and CONTROL.search(value.replace("\t", " ")):
        return Fault(file, line, "control", "remove it", f"control character in the line of {key!r}")
    return Row(line, key, value)


def split(value: str) -> list[str]:
    """Part a value at ASCII blanks only, as Kaldi does."""
    return [field for field in re.split("[ \t]+", value) if field]


def scan_lines(path: Path | str) -> Iterator[Row | Fault]:
    """Read a table line by line; a line that breaks a rule comes as a Fault. One pass, constant memory.

    Raises: UserError when the file is not there or cannot be read.
    """
    with open_table(path) as file:
        for line, raw in enumerate(file, start=1):
            yield parse_line(raw.rstrip(b"\n"), line, str(path))


def open_table(path: Path | str):  # noqa: ANN201 (a buffered reader; its type has no public name)
    """Open for reading bytes, or say why not."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it or check the path") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the path and its rights") from None


def order_fault(before: str, row: Row, file: str) -> Fault:
    """Say that `row` comes too late in a sorted table."""
    detail = f"{row.key!r} after {before!r}: not sorted in C order"
    return Fault(file, row.line, "order", "sort with LC_ALL=C sort (utils/fix_data_dir.sh does)", detail)


def duplicate_fault(row: Row, first: int, file: str) -> Fault:
    """Say that the id of `row` stands on line `first` already."""
    detail = f"duplicate id {row.key!r} (first in line {first})"
    return Fault(file, row.line, "duplicate-id", "ids must be unique; remove one", detail)


def iter_table(path: Path | str, *, values: bool = False) -> Iterator[tuple[str, str]]:
    """Give (id, rest of line) in the file's order, without looking for duplicates; constant memory.

    values: True refuses a line that has only an id.

    Raises: UserError with file and line for the first broken rule.
    """
    for row in scan_lines(path):
        if isinstance(row, Fault):
            raise UserError(str(row))
        if values and not row.value:
            raise UserError(str(value_fault(row, str(path))))
        yield row.key, row.value


def value_fault(row: Row, file: str) -> Fault:
    """Say that a line has an id and nothing else."""
    return Fault(file, row.line, "missing-value", "add the value or remove the line", f"{row.key!r} has no value")


def read_table(path: Path | str, *, values: bool = False, ordered: bool = False) -> dict[str, str]:
    """Read a table: id -> rest of line ("" if there is none), in the file's order.

    values: True refuses a line that has only an id. ordered: True refuses ids that are not in C order.

    Raises: UserError with file and line: bad UTF-8, Windows line end, duplicate id, a slash or a control character in
    an id, an empty line, and what the options refuse.
    """
    table: dict[str, str] = {}
    lines: dict[str, int] = {}
    before = ""
    for row in scan_lines(path):
        fault = row if isinstance(row, Fault) else None
        if isinstance(row, Row):
            if row.key in table:
                fault = duplicate_fault(row, lines[row.key], str(path))
            elif values and not row.value:
                fault = value_fault(row, str(path))
            elif ordered and row.key < before:
                fault = order_fault(before, row, str(path))
            else:
                before = row.key
                lines[row.key] = row.line
                table[row.key] = row.value
        if fault is not None:
            raise UserError(str(fault))
    return table


def write_table(path: Path | str, rows: Mapping[str, str]) -> None:
    """Write a table, sorted in C order (UTF-8 bytes sort as code points do), atomically.

    Raises: UserError for an id or a value that a reader would refuse, and for a full disk.
    """
    with atomic_open(path) as file:
        for line, key in enumerate(sorted(rows), start=1):
            value = rows[key].strip(BLANKS)
            text = f"{key} {value}" if value else key
            row = parse_line(text.encode("utf-8"), line, str(path))
            if isinstance(row, Fault):
                raise UserError(str(row))
            if row.key != key or "\n" in text:
                raise UserError(f"{path}:{line}: the id {key!r} holds a blank or the value a newline; remove it")
            file.write(text + "\n")
