"""Kaldi's score files in Kaldi's format: per_utt, per_spk, ops, the `%WER` lines, and the reader of per_utt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.scoring.align import GAP, GAP_ID, Alignment, Counts, Vocabulary, split
from speechlm.scoring.ops import Ops
from speechlm.scoring.significance import Interval
from speechlm.scoring.wer import Tally, added

SPEAKER_WIDTH, FIELD_WIDTH = 15, 10
CELL = 80
"""Widths of cells that are made beforehand."""


def centre(text: str, width: int) -> str:
    """Centre as Kaldi does: the odd blank stands on the left."""
    room = width - len(text)
    return " " * (room - room // 2) + text + " " * (room // 2)


class PerUtt:
    """Format of `per_utt`: three aligned rows and the counts of each utterance."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.units = vocabulary.units
        self.correct: list[str] = []  # the cell `C` under each unit
        self.wrong = {op: [centre(op, width) for width in range(CELL)] for op in "SDI"}

    def text(self, utt: str, ref: list[str], alignment: Alignment) -> tuple[str, Counts]:
        """Write the four lines of an utterance; give the counts of its alignment with them.

        ref: the units of the reference. One walk over the errors does everything: this is where the time goes.
        """
        units, correct = self.units, self.correct
        if len(correct) < len(units):
            correct += [centre("C", len(unit)) for unit in units[len(correct) :]]
        left, right, places = alignment
        refs = ref.copy() if len(ref) == len(left) else [units[number] for number in left]
        hyps = refs.copy()
        ops = [correct[number] for number in left]
        insertions = deletions = 0
        for place in places:
            op = "S"
            if left[place] == GAP_ID:
                op, insertions = "I", insertions + 1
            elif right[place] == GAP_ID:
                op, deletions = "D", deletions + 1
            above, below = refs[place], units[right[place]]
            width, room = len(above), len(below)
            if width < room:
                width, refs[place] = room, centre(above, room)
            hyps[place] = below if room == width else centre(below, width)
            ops[place] = self.wrong[op][width] if width < CELL else centre(op, width)
        counts = Counts(len(ref), len(places) - insertions - deletions, insertions, deletions)
        join = "  ".join
        csid = f"{counts.correct} {counts.substitutions} {insertions} {deletions}"
        text = f"{utt} ref  {join(refs)}\n{utt} hyp  {join(hyps)}\n{utt} op   {join(ops)}\n{utt} #csid {csid}\n"
        return text, counts


def write_per_spk(path: Path, speakers: dict[str, Tally]) -> None:
    """Write `per_spk`: counts and percentages of every speaker, and their sum."""
    width = max(SPEAKER_WIDTH, *map(len, speakers))
    total = added(speakers.values())
    names = ["#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err"]
    lines = [f"{'SPEAKER':<{width}} id  " + " ".join(f"{name:>{FIELD_WIDTH}}" for name in names)]
    for speaker in sorted(speakers):
        lines += _speaker_lines(f"{speaker:<{width}}", speakers[speaker])
    lines += _speaker_lines(f"{'SUM':<{width}}", total)
    with atomic_open(path) as file:
        file.write("\n".join(lines) + "\n")


def _speaker_lines(name: str, tally: Tally) -> list[str]:
    raw = [tally.correct, tally.substitutions, tally.insertions, tally.deletions, tally.errors]
    size = f"{tally.utterances:>{FIELD_WIDTH}} {tally.words:>{FIELD_WIDTH}} "
    lines = [f"{name} raw {size}" + " ".join(f"{value:>{FIELD_WIDTH}}" for value in [*raw, tally.wrong])]
    if tally.words:
        shares = [100 * value / tally.words for value in raw] + [tally.sentence_rate]
        lines.append(f"{name} sys {size}" + " ".join(f"{value:>{FIELD_WIDTH}.2f}" for value in shares))
    return lines


class KaldiReports:
    """Writes `scoring_kaldi/` while the utterances pass by; the files appear when all is well.

    folder: the decode folder. prefix: wer or cer. tag: name of the decoding, as in `cer_beam4`.
    """

    def __init__(self, folder: Path, prefix: str, tag: str, vocabulary: Vocabulary) -> None:
        self.folder, self.prefix, self.tag = folder, prefix, tag
        self.scoring = folder / "scoring_kaldi"
        self.details = self.scoring / f"{prefix}_details"
        self.ops = Ops(vocabulary)
        self.speakers: dict[str, Tally] = {}
        self._format = PerUtt(vocabulary)
        self._stack = ExitStack()

    def __enter__(self) -> KaldiReports:
        places = [self.details / "per_utt", self.scoring / "test_filt.txt"]
        self._files = [self._stack.enter_context(atomic_open(place)) for place in places]
        self._lines: list[list[str]] = [[], []]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, utt: str, speaker: str, ref: list[str], alignment: Alignment) -> None:
        """Write one utterance, as its alignment counts it; ref: the units of its reference."""
        text, counts = self._format.text(utt, ref, alignment)
        self._lines[0].append(text)
        tally = self.speakers.get(speaker)
        if tally is None:
            tally = self.speakers[speaker] = Tally()
        tally.add(counts)

    def text(self, utt: str, ref: str) -> None:
        """Write what was compared with, after normalisation: Kaldi's test_filt.txt."""
        self._lines[1].append(f"{utt} {ref}\n")

    def flush(self) -> None:
        """Put the lines of the utterances since the last time into the files."""
        for file, lines in zip(self._files, self._lines):
            file.write("".join(lines))
            lines.clear()

    def finish(self, tally: Tally, interval: Interval) -> str:
        """Write what needs the sums; give back the `%WER` line with the path, as in `best_wer`."""
        write_per_spk(self.details / "per_spk", self.speakers)
        self.ops.write(self.details / "ops")
        bounds = f"[ {interval.low:.2f}, {interval.high:.2f} ]"
        _write(self.details / f"{self.prefix}_bootci", f"Set1: %WER {interval.mean:.2f} 95% Conf Interval {bounds}\n")
        place = self.folder / f"{self.prefix}_{self.tag}"
        sentences = f"%SER {tally.sentence_rate:.2f} [ {tally.wrong} / {tally.utterances} ]"
        scored = f"Scored {tally.utterances} sentences, {tally.missing} not present in hyp."
        _write(place, f"{tally.line()}\n{sentences}\n{scored}\n")
        door = self.scoring / place.name
        door.unlink(missing_ok=True)
        os.symlink(f"../{place.name}", door)
        best = f"{tally.line()} {place}"
        _write(self.scoring / f"best_{self.prefix}", best + "\n")
        return best


def _write(path: Path, text: str) -> None:
    with atomic_open(path) as file:
        file.write(text)


class Aligned(NamedTuple):
    """One utterance of a `per_utt` file; a gap is None."""

    id: str
    pairs: list[tuple[str | None, str | None]]

    @property
    def counts(self) -> Counts:
        """Its errors."""
        words = sum(ref is not None for ref, _ in self.pairs)
        return split(words, [pair for pair in self.pairs if pair[0] != pair[1]], None)


def read_per_utt(path: Path) -> Iterator[Aligned]:
    """Read the alignments back from a `per_utt` file, ours or Kaldi's.

    Raises: UserError with the line where the file is not what it should be.
    """
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (closed by the block below)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; score the decode folder first (speechlm score)") from None
    with file:
        rows: dict[str, list[str | None]] = {}
        for line, text in enumerate(file, start=1):
            utt, kind, *cells = text.split()
            if kind == "#csid":
                if len(rows.get("ref", [])) != len(rows.get("hyp", [None])):
                    raise UserError(f"{path}:{line}: the rows of '{utt}' are not of equal length; score again")
                yield Aligned(utt, list(zip(rows["ref"], rows["hyp"])))
                rows = {}
            else:
                rows[kind] = [None if cell == GAP else cell for cell in cells]
