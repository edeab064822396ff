"""What tuning found as a table for RESULTS.md: errors over two decoding options, insertions and deletions beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from speechlm.io.files import atomic_open
from speechlm.report.results import HEAD, markdown

Measured = dict[str, Any]


def surface(rows: list[Measured], axes: list[str], best: Measured) -> str:
    """Write measured points as Markdown: the last axis to the right, all others downward; the chosen one is bold.

    rows: of each point its options and error (percent), ins, del, sub. axes: names of the options that vary.
    """
    *down, right = axes
    columns = list(dict.fromkeys(_word(row[right]) for row in rows))
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        cell = f"{row['error']:.2f} ({row['ins']}/{row['del']}/{row['sub']})"
        place = lines.setdefault(tuple(_word(row[name]) for name in down), {})
        place[_word(row[right])] = f"**{cell}**" if row is best else cell
    heads = [f"{right} = {value}" for value in columns]
    cells = [
        {**dict(zip(down, key)), **{head: line.get(value, "-") for head, value in zip(heads, columns)}}
        for key, line in lines.items()
    ]
    return markdown([*down, *heads], cells)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_section(path: Path, name: str, text: str) -> None:
    """Put a section between marks of its own into RESULTS.md, in place of its older self; all else stays.

    name: what tells it from other sections, as in "tuning exp/speech_llm".
    """
    begin, end = f"<!-- speechlm {name}: begin -->", f"<!-- speechlm {name}: end -->"
    block = f"{begin}\n\n{text.strip()}\n\n{end}"
    old = path.read_text(encoding="utf-8") if path.exists() else HEAD
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.S)
    new = found.sub(lambda _: block, old, count=1) if found.search(old) else f"{old.rstrip()}\n\n{block}\n"
    with atomic_open(path) as file:
        file.write(new)
