"""The table of a sweep in RESULTS.md: for each line mean and spread over seeds, and how sure it is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.io.expdir import ExpDir
from speechlm.io.files import atomic_open
from speechlm.report.compare import per_utt_path, read_scoring
from speechlm.report.facts import read_json
from speechlm.report.metrics import read_metrics
from speechlm.report.results import HEAD, Row, markdown
from speechlm.scoring.kaldi import read_per_utt
from speechlm.scoring.significance import bootstrap_interval, paired_bootstrap

NOTE = (
    "error %: mean over the seeds. spread: lowest and highest seed, and the standard deviation (n - 1). 95 % interval: "
    "of that mean, bootstrapped over utterances, the errors of an utterance added up over the seeds. against the "
    "reference: relative change of the error, and p of the paired bootstrap over utterances. ins %: insertions on speech. "
    "text on non-speech: utterances without words that got some, mean over the seeds (lowest - highest), and units a minute "
    "put there. audio s/s: seconds of audio trained on in a second, median over the training; memory: its peak."
)
EMPTY = "-"


@dataclass
class Line:
    """One line of the table on one test set.

    choice: option -> value, of the grid. folders: decode folders of the seeds that are finished. wanted: all seeds.
    """

    title: str
    choice: dict[str, str]
    set: str
    conf: str
    is_reference: bool = False
    folders: list[Path] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Counted:
    """Words of each utterance's reference, and its errors added up over `seeds` systems."""

    ids: list[str]
    words: list[int]
    errors: list[int]
    seeds: int

    @property
    def repeated(self) -> list[int]:
        """Words, as often as there are seeds: errors over these are the mean rate."""
        return [self.seeds * count for count in self.words]


def count_errors(folders: list[Path]) -> Counted:
    """Add up the errors of each utterance over decode folders of the same references.

    Raises UserError if the folders do not have the same utterances.
    """
    ids: list[str] = []
    words: list[int] = []
    errors: list[int] = []
    for folder in folders:
        rows = [(one.id, one.counts) for one in read_per_utt(per_utt_path(folder, read_scoring(folder)["unit"]))]
        if not ids:
            ids, words = [utt for utt, _ in rows], [counts.words for _, counts in rows]
            errors = [0] * len(rows)
        if [(utt, counts.words) for utt, counts in rows] != list(zip(ids, words)):
            raise UserError(f"{folder} and {folders[0]}: other utterances or references; decode and score them again")
        errors = [total + counts.errors for total, (_, counts) in zip(errors, rows)]
    return Counted(ids, words, errors, len(folders))


def row_of(line: Line, reference: Counted | None) -> Row:
    """Make a line's cells; `-` for what does not apply."""
    cells = {"row": line.title, **{_short(option): value for option, value in line.choice.items()}}
    cells["seeds"] = f"{len(line.folders)} of {len(line.wanted)}"
    if not line.folders:
        return cells
    scores = [read_scoring(folder) for folder in line.folders]
    cells["commit"] = ", ".join(sorted({score.get("commit") or "not recorded" for score in scores}))
    cells |= _insertions([score["insertions_apart"] for score in scores])
    counted = count_errors(line.folders)
    if sum(counted.words):  # a set of nothing but sound without words has no error rate
        rates = [score["rate"] for score in scores]
        low, high = bootstrap_interval(counted.repeated, counted.errors)[1:]
        several = len(rates) > 1
        cells |= {
            "error %": f"{statistics.fmean(rates):.2f}",
            "spread": f"{min(rates):.2f} - {max(rates):.2f}, sd {statistics.stdev(rates):.2f}" if several else EMPTY,
            "95 % interval": f"{low:.2f} - {high:.2f}",
        }
    if reference and not line.is_reference and sum(counted.words):
        cells |= _against(counted, reference, line)
    return cells | _cost(ExpDir(line.folders[0].parent))


def _insertions(apart: list[dict[str, Any]]) -> Row:
    """Tell what was put in, on speech and where nothing was said (2406.17272), over the seeds."""
    rates = [one["speech_insertion_rate"] for one in apart]
    cells: Row = {} if None in rates else {"ins %": f"{statistics.fmean(rates):.2f}"}
    if apart[0]["silence_utterances"]:
        wrong = [one["silence_utterances_with_output"] for one in apart]
        told = f"{statistics.fmean(wrong):.1f} ({min(wrong)} - {max(wrong)}) of {apart[0]['silence_utterances']}"
        minutes = [one["silence_units_per_minute"] for one in apart]
        cells["text on non-speech"] = (
            told if None in minutes else f"{told}; {statistics.fmean(minutes):.1f} units/min"
        )
    return cells


def _against(counted: Counted, reference: Counted, line: Line) -> Row:
    """Compare with the reference; with other numbers of seeds, the errors are brought to the same number of words."""
    if counted.ids != reference.ids or counted.words != reference.words:
        raise UserError(f"{line.folders[0]}: not scored against the references of the reference row; score both again")
    own = [errors * reference.seeds for errors in counted.errors]
    other = [errors * counted.seeds for errors in reference.errors]
    if not sum(other):
        return {"against the reference": EMPTY, "p": EMPTY}
    words = [count * counted.seeds * reference.seeds for count in counted.words]
    change = 100 * (sum(own) / sum(other) - 1)
    return {"against the reference": f"{change:+.1f} %", "p": f"{paired_bootstrap(words, other, own).p:.4f}"}


def _cost(exp: ExpDir) -> Row:
    """Tell size, speed and memory of a training."""
    card = read_json(exp.card)
    rows = read_metrics(exp.metrics) if exp.metrics.exists() else []
    speeds = [row["audio_per_second"] for row in rows if "audio_per_second" in row]
    memory = [row["memory_gib"] for row in rows if "memory_gib" in row]
    return {
        "trained parameters": f"{card['trained']:,}" if "trained" in card else EMPTY,
        "all parameters": f"{card['total']:,}" if "total" in card else EMPTY,
        "audio s/s": f"{statistics.median(speeds):.1f}" if speeds else EMPTY,
        "memory GiB": f"{max(memory):.2f}" if memory else EMPTY,
    }


def _short(option: str) -> str:
    return option.split(".", 1)[-1]


def _has_non_speech(line: Line) -> bool:
    return any(read_scoring(folder)["insertions_apart"]["silence_utterances"] for folder in line.folders)


def table(lines: list[Line]) -> str:
    """Write the lines, a table for each test set, in the order of the sweep's file."""
    options = list(dict.fromkeys(_short(option) for line in lines for option in line.choice))
    compared = any(line.is_reference for line in lines)
    columns = ["row", *options, "error %", "spread", "95 % interval"]
    columns += ["against the reference", "p"] if compared else []
    columns += ["ins %"]
    columns += ["text on non-speech"] if any(map(_has_non_speech, lines)) else []
    columns += ["seeds", "trained parameters", "all parameters", "audio s/s", "memory GiB", "commit"]
    parts = []
    for name in dict.fromkeys(line.set for line in lines):
        chosen = [line for line in lines if line.set == name]
        first = next((line for line in chosen if line.is_reference and line.folders), None)
        reference = count_errors(first.folders) if first else None
        rows = [row_of(line, reference) for line in chosen]
        parts.append(f"{name}:\n\n{markdown(columns, [{c: row.get(c, EMPTY) for c in columns} for row in rows])}")
    return "\n".join(parts)


def write_table(
    path: Path, name: str, title: str, lines: list[Line], command: str, left: dict[str, str], pictures: Sequence[str] = ()
) -> int:
    """Write or renew the marked block of a sweep in RESULTS.md, what stands elsewhere is kept; give the number of lines.

    command: what made it. left: points that are not finished, and why; they stand below the table. pictures: files beside
    the page that are shown there, too.
    """
    begin = f"<!-- speechlm sweep {name}: begin; what stands between the marks is written by the command -->"
    end = f"<!-- speechlm sweep {name}: end -->"
    text = path.read_text(encoding="utf-8") if path.exists() else HEAD
    if begin in text:
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise UserError(f"{path}: the mark '{end}' is missing; put it back below the table")
    else:
        before, after = text.rstrip("\n") + "\n\n", "\n"
    confs = ", ".join(dict.fromkeys(line.conf for line in lines))
    parts = [f"## Sweep {name}", *([title] if title else []), f"Made by `{command}` of {confs}.", NOTE, table(lines)]
    parts += [f"![{picture}]({picture})\n" for picture in pictures]
    if left:
        parts.append("Not finished:\n\n" + "\n".join(f"- {point}: {why}" for point, why in left.items()) + "\n")
    with atomic_open(path) as file:
        file.write(f"{before}{begin}\n\n" + "\n\n".join(parts) + f"\n{end}{after}")
    return len(lines)
