"""Two systems on one test set: which is better, how sure that is, and where they differ, utterance by utterance."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.scoring.kaldi import Aligned, read_per_utt
from speechlm.scoring.significance import (
    Interval,
    Paired,
    bootstrap_interval,
    matched_pairs,
    paired_bootstrap,
    split_segments,
)
from speechlm.scoring.wer import METRIC, PREFIX, percent


@dataclass(frozen=True)
class Difference:
    """An utterance on which two systems differ; change: errors of the second minus errors of the first."""

    first: Aligned
    second: Aligned
    change: int


@dataclass(frozen=True)
class Comparison:
    """Two decode folders side by side.

    rates, intervals: of each, in percent. paired: difference of the rates and its interval. p_matched: of the
    matched-pairs test. differences: utterances with other numbers of errors, those that changed most first.
    """

    names: tuple[str, str]
    unit: str
    utterances: int
    words: int
    rates: tuple[float, float]
    intervals: tuple[Interval, Interval]
    paired: Paired
    p_matched: float
    differences: list[Difference]

    @property
    def better(self) -> list[Difference]:
        """Utterances that the second system has fewer errors on."""
        return [one for one in self.differences if one.change < 0]

    @property
    def worse(self) -> list[Difference]:
        """Utterances that the second system has more errors on."""
        return [one for one in self.differences if one.change > 0]


def read_scoring(folder: Path) -> dict[str, Any]:
    """Read `scoring.json` of a decode folder; a folder that is not scored is a UserError."""
    path = folder / "scoring.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: not scored yet; run stage 6 or speechlm score (no {path.name} here)") from None
    except ValueError:
        raise UserError(f"{path}: is no JSON; score the folder again") from None


def per_utt_path(folder: Path, unit: str) -> Path:
    """Name the alignments of a decode folder."""
    return folder / "scoring_kaldi" / f"{PREFIX[unit]}_details" / "per_utt"


def compare(first: Path, second: Path) -> Comparison:
    """Compare two scored decode folders of the same references.

    Raises: UserError if a folder is not scored, or if units, languages or references are not the same.
    """
    scores = [read_scoring(folder) for folder in (first, second)]
    for name in ("unit", "language", "glm"):
        if scores[0][name] != scores[1][name]:
            raise UserError(
                f"{first} and {second} are scored with {name} {scores[0][name]} and {scores[1][name]}; score both alike"
            )
    unit = scores[0]["unit"]
    words: list[int] = []
    errors: tuple[list[int], list[int]] = ([], [])
    segments: list[tuple[int, int]] = []
    differences: list[Difference] = []
    sides = [read_per_utt(per_utt_path(folder, unit)) for folder in (first, second)]
    for left, right in zip_longest(*sides):
        _check_same(left, right, first, second)
        counts = left.counts, right.counts
        words.append(counts[0].words)
        for column, count in zip(errors, counts):
            column.append(count.errors)
        segments += split_segments(left.pairs, right.pairs)
        change = counts[1].errors - counts[0].errors
        if change:
            differences.append(Difference(left, right, change))
    if not sum(words):
        raise UserError(f"{first}: the references are empty; there is no rate to compare")
    differences.sort(key=lambda one: (-abs(one.change), one.first.id))
    whole = sum(words)
    return Comparison(
        (str(first), str(second)),
        unit,
        len(words),
        whole,
        (percent(sum(errors[0]), whole), percent(sum(errors[1]), whole)),
        (bootstrap_interval(words, errors[0]), bootstrap_interval(words, errors[1])),
        paired_bootstrap(words, *errors),
        matched_pairs(segments),
        differences,
    )


def _check_same(left: Aligned | None, right: Aligned | None, first: Path, second: Path) -> None:
    """Refuse two folders that were not scored against the same references."""
    if left is None or right is None or left.id != right.id:
        found = " and ".join(one.id if one else "the end" for one in (left, right))
        raise UserError(f"{first} and {second}: the utterances differ at {found}; score both against one reference")
    if [ref for ref, _ in left.pairs if ref is not None] != [ref for ref, _ in right.pairs if ref is not None]:
        raise UserError(f"{first} and {second}: the references of '{left.id}' differ; score both against one reference")


def text_report(found: Comparison, show: int) -> str:
    """Write the comparison as text, with the alignments of the `show` utterances that changed most on each side."""
    name = METRIC[found.unit]
    lines = [f"{found.utterances} utterances, {found.words} reference {found.unit}s"]
    for mark, folder, rate, interval in zip("AB", found.names, found.rates, found.intervals):
        lines.append(f"{mark}  {name} {rate:6.2f}  [{interval.low:.2f}, {interval.high:.2f}]  {folder}")
    gap = found.paired.difference
    relative = f", {100 * gap.mean / found.rates[0]:+.1f} % relative" if found.rates[0] else ""
    share = 100 * found.paired.better
    lines += [
        f"B - A  {gap.mean:+.2f} points  [{gap.low:+.2f}, {gap.high:+.2f}]{relative}",
        f"paired bootstrap: B better in {share:.1f} % of the replications, p = {found.paired.p:.4f}; "
        f"matched pairs: p = {found.p_matched:.4f}  ({verdict(found)})",
        f"B is better on {len(found.better)} utterances, worse on {len(found.worse)}, "
        f"equal on {found.utterances - len(found.differences)}",
    ]
    for title, chosen in (("BETTER in B", found.better), ("WORSE in B", found.worse)):
        lines += ["", f"== {title}: {min(show, len(chosen))} of {len(chosen)}"]
        for one in chosen[:show]:
            a, b = one.first.counts.errors, one.second.counts.errors
            lines += ["", f"{one.first.id}  errors {a} -> {b}"]
            lines += rows("A", one.first.pairs) + rows("B", one.second.pairs)
    return "\n".join(lines) + "\n"


def verdict(found: Comparison) -> str:
    """Say in words whether the difference is to be believed."""
    if found.paired.p >= 0.05:
        return "no difference can be told at the 5 % level"
    return f"{'B' if found.paired.difference.mean < 0 else 'A'} is better at the 5 % level"


def rows(mark: str, pairs: Sequence[tuple[str | None, str | None]]) -> list[str]:
    """Write an alignment as two rows of even columns; errors in the hypothesis are in brackets."""
    cells = [(ref or "***", "***" if hyp is None else hyp if hyp == ref else f"[{hyp}]") for ref, hyp in pairs]
    widths = [max(map(display_width, pair)) for pair in cells]
    return [
        f"  {mark} {name}  {_row((pair[side] for pair in cells), widths)}" for side, name in enumerate(("ref", "hyp"))
    ]


def _row(cells: Iterable[str], widths: Sequence[int]) -> str:
    return " ".join(cell + " " * (width - display_width(cell)) for cell, width in zip(cells, widths)).rstrip()


def display_width(text: str) -> int:
    """Count the columns of a terminal that a text fills: two for a Chinese or Japanese character."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def common_sets(first: Path, second: Path) -> list[tuple[Path, Path]]:
    """Pair the decode folders to compare: the two themselves, or those of one name in two experiments.

    Raises: UserError if the two have no decode folder in common.
    """
    if (first / "scoring.json").exists() or (second / "scoring.json").exists():
        return [(first, second)]
    names = sorted({path.parent.name for path in first.glob("decode_*/scoring.json")})
    pairs = [(first / name, second / name) for name in names if (second / name / "scoring.json").exists()]
    if not pairs:
        raise UserError(f"{first} and {second}: no decode folder of one name is scored in both; run stages 5 and 6")
    return pairs
