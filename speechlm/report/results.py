"""RESULTS.md: every scored decode folder as rows of three tables, written by the run; and the best of all recipes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.report.facts import Facts, facts_of

BEGIN = "<!-- speechlm results: begin; what stands between the marks is written by the command -->"
END = "<!-- speechlm results: end -->"
UNKNOWN = "not recorded"
HEAD = "# Results\n\nWritten by `speechlm results`. What stands outside the marks is kept: remarks, failures.\n"

Row = dict[str, str]
TABLES: dict[str, tuple[str, list[str]]] = {
    "Error rates": (
        "95 % intervals are bootstrapped over utterances as Kaldi's compute-wer-bootci does. Homophones: substitutions "
        "of the same toneless pinyin. RTF: seconds of decoding for one second of audio.",
        ["set", "experiment", "decoding", "unit", "error %", "95 % interval", "sub", "del", "ins", "words",
         "utterances", "sentence error %", "homophones", "training data",
         "trained parameters", "all parameters", "RTF", "commit"],
    ),
    "Text that was not spoken": (
        "Insertions apart (arXiv 2406.17272); utterances in each class. Silence: utterances with an empty reference.",
        ["set", "experiment", "decoding", "ins % on speech", "loop", "refusal", "prompt leak", "over-long", "runaway",
         "text on silence", "units/min on silence", "empty", "no hypothesis"],
    ),
    "How the numbers were made": (
        "The command that trained the experiment, and the options of the decoding.",
        ["set", "experiment", "decoding", "command", "decoding options", "tuned"],
    ),
}  # fmt: skip
"""Title -> (sentence, columns); the first three columns name a row in every table."""


def decode_folders(places: Iterable[Path]) -> list[Path]:
    """Find the scored decode folders in experiments exp/NAME, or in folders that hold experiments."""
    found: list[Path] = []
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; give experiments such as exp/conformer_ctc")
        for pattern in ("scoring.json", "decode_*/scoring.json", "*/decode_*/scoring.json"):
            found += [path.parent for path in sorted(place.glob(pattern))]
    return list(dict.fromkeys(found))


def rows_of(facts: Facts) -> dict[str, Row]:
    """Make a decode folder's row of each table; what is not known reads `not recorded`."""
    score, key = facts.score, {"set": facts.set, "experiment": facts.experiment, "decoding": facts.decoding}
    apart = score["insertions_apart"]
    classes = apart["classes"]
    low, high = score["interval"]
    alike = score.get("homophones")
    error: Row = {
        "unit": score["unit"],
        "error %": _number(score["rate"]) if score["words"] else "-",
        "95 % interval": "-" if low is None else f"{low:.2f} - {high:.2f}",
        "sub": str(score["substitutions"]),
        "del": str(score["deletions"]),
        "ins": str(score["insertions"]),
        "words": str(score["words"]),
        "utterances": str(score["utterances"]),
        "sentence error %": _number(score["sentence_rate"]),
        "homophones": f"{alike['same_syllable']} of {alike['substitutions']}" if alike else "-",
        "training data": facts.training_data or UNKNOWN,
        "trained parameters": _count(facts.trained),
        "all parameters": _count(facts.total),
        "RTF": _number(facts.real_time_factor, 3),
        "commit": score.get("commit") or UNKNOWN,
    }
    unspoken: Row = {
        "ins % on speech": _number(apart["speech_insertion_rate"]) if score["words"] else "-",
        "loop": str(classes["loop"]),
        "refusal": str(classes["refusal"]),
        "prompt leak": str(classes["prompt_leak"]),
        "over-long": str(classes["over_long"]),
        "runaway": str(classes["runaway"]),
        "text on silence": f"{classes['silence']} of {apart['silence_utterances']}",
        "units/min on silence": _number(apart["silence_units_per_minute"], 1) if apart["silence_utterances"] else "-",
        "empty": str(classes["empty"]),
        "no hypothesis": str(score["missing"]),
    }
    made: Row = {
        "command": f"`{facts.command}`" if facts.command else UNKNOWN,
        "decoding options": facts.options or UNKNOWN,
        "tuned": facts.tuned or "no",
    }
    return {title: {**key, **row} for title, row in zip(TABLES, (error, unspoken, made))}


def _number(value: float | None, digits: int = 2) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def write_results(path: Path, folders: Iterable[Path], *, command: str | None = None, keep: bool = True) -> int:
    """Write or renew the marked block of RESULTS.md; give the number of rows.

    command: how the experiments were made, where they have no command.txt. keep: rows of the old block stay if their
    experiment is not looked at now (its folder may lie on another machine).
    """
    fresh = [rows_of(facts_of(folder, command)) for folder in folders]
    old_text = path.read_text(encoding="utf-8") if path.exists() else HEAD
    before, block, after = split_marked(old_text, path)
    tables: dict[str, list[Row]] = {}
    for title in TABLES:
        rows = {_key(row): row for row in read_table(block, title)} if keep else {}
        rows.update({_key(row[title]): row[title] for row in fresh})
        tables[title] = list(rows.values())
    rates = {_key(row): _rate(row) for row in tables["Error rates"]}
    for rows_ in tables.values():
        rows_.sort(key=lambda row: (row["set"], rates.get(_key(row), float("inf")), _key(row)))
    made = "\n".join(_section(title, tables[title]) for title in TABLES)
    with atomic_open(path) as file:
        file.write(f"{before}{BEGIN}\n\n{made}\n{END}{after}")
    return len(tables["Error rates"])


def split_marked(text: str, path: Path) -> tuple[str, str, str]:
    """Part a page into what stands before, in and after the marks; without marks the block goes to the end."""
    if BEGIN not in text:
        return text.rstrip("\n") + "\n\n", "", "\n"
    before, _, rest = text.partition(BEGIN)
    block, mark, after = rest.partition(END)
    if not mark:
        raise UserError(f"{path}: the mark '{END}' is missing; put it back below the tables")
    return before, block, after


def _section(title: str, rows: list[Row]) -> str:
    sentence, columns = TABLES[title]
    return f"## {title}\n\n{sentence}\n\n{markdown(columns, rows)}"


def markdown(columns: list[str], rows: list[Row]) -> str:
    """Write a table, its columns padded, so that it reads well as it stands."""
    cells = [columns, *([row.get(column, UNKNOWN).replace("|", "\\|") for column in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def read_table(text: str, title: str) -> list[Row]:
    """Read the rows of the table under a title; [] if there is none."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, flags=re.S | re.M)
    lines = [line for line in found.group(1).splitlines() if line.startswith("|")] if found else []
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(cells[0], row)) for row in cells[2:] if len(row) == len(cells[0])] if cells else []


def _key(row: Row) -> tuple[str, str, str]:
    return row.get("set", ""), row.get("experiment", ""), row.get("decoding", "")


def _rate(row: Row) -> float:
    try:
        return float(row["error %"])
    except (KeyError, ValueError):
        return float("inf")
