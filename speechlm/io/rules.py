"""The rules of a data directory's single tables: every fault of a file, not only the first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.segments import number, parse_segment
from speechlm.io.tables import Fault, Row, duplicate_fault, open_table, order_fault, parse_line, split, value_fault

MEND = "run utils/fix_data_dir.sh"
# Blanks that are none of ASCII's: programs differ in whether they part words.
WIDE_BLANK = re.compile(r"[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
RESERVED = ("<s>", "</s>", "#0")
TABLES = ("utt2spk", "spk2utt", "text", "wav.scp", "segments", "feats.scp", "utt2dur", "utt2num_frames", "reco2dur")


@dataclass
class Table:
    """The sound lines of a file by id, the faults of the others, and whether the file is there."""

    file: str
    exists: bool = False
    rows: dict[str, Row] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, line: int, rule: str, fix: str, detail: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(self.file, line, rule, fix, detail))


def scan_table(path: Path, *, need_values: bool = True) -> Table:
    """Read a table and note every line that breaks a rule of tables; a missing file gives an empty table."""
    table = Table(str(path), path.exists())
    if not table.exists:
        return table
    before = ""
    for line, raw in raw_lines(path):
        row = parse_line(raw.rstrip(b"\n"), line, table.file)
        if isinstance(row, Fault):
            table.faults.append(row)
            continue
        check_blanks(table, row, raw)
        if need_values and not row.value:
            table.faults.append(value_fault(row, table.file))
        if row.key in table.rows:
            table.faults.append(duplicate_fault(row, table.rows[row.key].line, table.file))
            continue
        if row.key < before:
            table.faults.append(order_fault(before, row, table.file))
        before = max(before, row.key)
        table.rows[row.key] = row
    return table


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number the lines of a file, as bytes with their newlines."""
    with open_table(path) as file:
        yield from enumerate(file, start=1)


def check_blanks(table: Table, row: Row, raw: bytes) -> None:
    """Blanks where scripts trip: before the id; tabs and trailing blanks but in text; and no newline at the end."""
    is_text = table.file.endswith("text")
    line = raw.rstrip(b"\n")
    if line[:1] in (b" ", b"\t") or (not is_text and (b"\t" in line or line[-1:] == b" ")):
        table.fault(row.line, "blanks", MEND, f"a tab, or blanks at the start or the end of the line of {row.key!r}")
    if not raw.endswith(b"\n"):
        table.fault(row.line, "last-newline", MEND, f"no newline after the last line ({row.key!r})")


def check_text(table: Table, allow_empty: bool) -> None:
    """Transcripts: not empty unless allowed, no reserved words, no blanks but ASCII's."""
    for row in table.rows.values():
        if not row.value and not allow_empty:
            fix = "add the transcript or pass --allow_empty_text true"
            table.fault(row.line, "empty-text", fix, f"{row.key!r} has no transcript")
        if WIDE_BLANK.search(row.value):
            found = ord(WIDE_BLANK.search(row.value)[0])  # type: ignore[index]
            table.fault(row.line, "wide-blank", MEND, f"{row.key!r} holds the blank U+{found:04X}")
        for word in RESERVED:
            if word in split(row.value):
                table.fault(row.line, "reserved-word", "take the word out", f"{row.key!r} holds {word}")


def check_values(table: Table, check: Callable[[Row], object]) -> None:
    """Note the lines whose value `check` refuses with a UserError; they and those without a value are left out."""
    for key, row in list(table.rows.items()):
        if not row.value:
            del table.rows[key]  # told already
            continue
        try:
            check(row)
        except UserError as error:
            detail = str(error).removeprefix(f"{table.file}: ")
            what, _, fix = detail.rpartition("; ")
            table.fault(row.line, "value", fix, what)
            del table.rows[key]


def check_segment(table: Table) -> Callable[[Row], object]:
    """Check of a line of segments."""
    return lambda row: parse_segment(row.value, row.key, table.file)


def check_seconds(table: Table) -> Callable[[Row], object]:
    """Check of a duration: a number above 0."""

    def check(row: Row) -> None:
        if number(row.value, row.key, table.file) == 0:
            raise UserError(f"{table.file}: {row.key!r} lasts 0 s; remove the utterance")

    return check


def check_frames(table: Table) -> Callable[[Row], object]:
    """Check of a number of frames: a whole number above 0."""

    def check(row: Row) -> None:
        if not (row.value.isascii() and row.value.isdigit() and int(row.value)):
            raise UserError(f"{table.file}: {row.key!r} has {row.value!r} frames; write a whole number above 0")

    return check


def check_one_word(table: Table) -> Callable[[Row], object]:
    """Check of a line with two fields."""

    def check(row: Row) -> None:
        count = len(split(row.value))
        if count != 1:
            raise UserError(f"{table.file}: {row.key!r} has {count + 1} fields; write: utterance speaker")

    return check
