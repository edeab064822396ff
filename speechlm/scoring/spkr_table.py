"""The tables of sclite (`sum` and `rsum` reports) where sclite itself is not there: the same rows, the same layout."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from speechlm.scoring.wer import Tally, added

SCREEN = 80
TITLE = "SYSTEM SUMMARY PERCENTAGES by SPEAKER"
FIELDS = ("correct", "substitutions", "deletions", "insertions", "errors")
NO_WORDS = """
* No Reference words for this/these speaker(s).  Word counts supplied
  rather than percents.
# No Reference words for this/these speaker(s).  NCE not computable.
+ Speaker(s) with no reference data is ignored
"""


def summary_tables(title: str, speakers: dict[str, Tally], unit: str) -> str:
    """Write both tables, percentages and counts.

    speakers: counts by speaker, in the order of the rows. unit: word, char or mixed (names a column).
    """
    return _table(title, speakers, unit, raw=False) + _table(title, speakers, unit, raw=True)


def _table(title: str, speakers: dict[str, Tally], unit: str, raw: bool) -> str:
    tallies = list(speakers.values())
    total = added(tallies)
    head = [" SPKR", " # Snt", "# Chr" if unit == "char" else "# Wrd", "Corr", " Sub", " Del", " Ins", " Err", "S.Err"]
    rows = [[f" {name} ", *_sizes(tally), *_values(tally, raw)] for name, tally in speakers.items()]
    if raw:
        rows.append([" Sum", *_sizes(total), *_values(total, raw)])
    else:
        rows.append([" Sum/Avg", *_sizes(total), *(_one(value) for value in _numbers(total, raw=False))])
    rows += [
        [" Mean ", *_over(tallies, raw, statistics.fmean)],
        [" S.D. ", *_over(tallies, raw, lambda values: statistics.stdev(values) if len(values) > 1 else 0.0)],
        ["Median", *_over(tallies, raw, statistics.median)],
    ]
    notes = NO_WORDS if not raw and any(tally.words == 0 for tally in tallies) else ""
    return f"\n\n\n{TITLE:^{SCREEN}}\n\n" + _drawn(title, head, rows, len(speakers)) + notes


def _numbers(tally: Tally, raw: bool) -> list[float]:
    """Give correct, sub, del, ins, err and sentence errors; as counts for a speaker without words."""
    values = [float(getattr(tally, name)) for name in FIELDS]
    if raw:
        return [*values, float(tally.wrong)]
    shares = [value / tally.words * 100 if tally.words else 0.0 for value in values]
    return [*shares, tally.wrong / tally.utterances * 100]


def _rounded(value: float, digits: int) -> float:
    return math.floor(value * 10**digits + 0.5) / 10**digits


def _one(value: float, mark: str = " ") -> str:
    return f"{_rounded(value, 1):5.1f}{mark}"


def _whole(value: float, mark: str = " ") -> str:
    return f"{_rounded(value, 0):5.0f}{mark}"


def _sizes(tally: Tally) -> list[str]:
    return [f"{tally.utterances:5d}", f"{tally.words:5d}"]


def _values(tally: Tally, raw: bool) -> list[str]:
    if raw:
        return [_whole(value) for value in _numbers(tally, raw)]
    if tally.words == 0:
        return [_whole(value, "*") for value in _numbers(tally, raw=True)[:-1]] + [_one(tally.sentence_rate)]
    return [_one(value) for value in _numbers(tally, raw)]


def _over(tallies: Sequence[Tally], raw: bool, statistic: Callable[[Sequence[float]], float]) -> list[str]:
    """Take a statistic over the speakers; percentages leave speakers without words out and say so by a plus."""
    spoken = [tally for tally in tallies if tally.words or raw]
    mark = " " if len(spoken) == len(tallies) else "+"
    cells = [_one(statistic([getattr(tally, name) for tally in tallies])) for name in ("utterances", "words")]
    table = [_numbers(tally, raw) for tally in spoken] or [[0.0] * 6]
    cells += [_one(statistic([row[column] for row in table]), mark) for column in range(5)]
    return [*cells, _one(statistic([_numbers(tally, raw)[5] for tally in tallies]))]


def _drawn(title: str, head: list[str], rows: list[list[str]], speakers: int) -> str:
    """Draw the frame: a title, the head, the speakers, the sum, and three rows of statistics."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    groups = ((0, 1), (1, 3), (3, 9))

    def line(cells: list[str]) -> str:
        statistic = cells[0] in (" Mean ", " S.D. ", "Median")
        left = _centre(cells[0], widths[0]) if statistic else cells[0].ljust(widths[0])
        middle = [_centre(cell, width) for cell, width in zip(cells[1:], widths[1:])]
        return "|".join(["", *(" ".join([left, *middle][a:b]) for a, b in groups), ""])

    parts = [sum(widths[a:b]) + b - a - 1 for a, b in groups]
    inside = sum(parts) + 2
    rule = "|" + "+".join("-" * part for part in parts) + "|"
    double = "|" + "=" * inside + "|"
    lines = ["," + "-" * inside + ".", "|" + _centre(title, inside) + "|", "|" + "-" * inside + "|", line(head)]
    for row in rows[:speakers]:
        lines += [rule, line(row)]
    lines += [double, line(rows[speakers]), double, *map(line, rows[speakers + 1 :]), "`" + "-" * inside + "'"]
    margin = " " * max(0, (SCREEN - inside - 2) // 2)
    return "".join(f"{margin}{text}\n" for text in lines)


def _centre(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return " " * left + text + " " * (width - len(text) - left)
