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
from speechlm.scoring.align import GAP, GAP_ID, Columns, Counts, Errors, Vocabulary, split
from speechlm.scoring.ops import Ops, Row
from speechlm.scoring.significance import Interval
from speechlm.scoring.wer import Tally

SPEAKER_WIDTH, FIELD_WIDTH = 15, 10


class _Cells(dict[tuple[int, int], tuple[str, str, str]]):
    """The three cells of an alignment's column, centred; substitutions are not kept, there are too many of them."""

    def __init__(self, units: list[str]) -> None:
        super().__init__()
        self.units = units

    def __missing__(self, pair: tuple[int, int]) -> tuple[str, str, str]:
        ref, hyp = self.units[pair[0]], self.units[pair[1]]
        same = pair[0] == pair[1]
        op = "C" if same else "I" if pair[0] == GAP_ID else "D" if pair[1] == GAP_ID else "S"
        width = max(len(ref), len(hyp))
        cells = (centre(ref, width), centre(hyp, width), centre(op, width))
        if op != "S":
            self[pair] = cells
        return cells


def centre(text: str, width: int) -> str:
    """Centre as Kaldi does: the odd blank stands on the left."""
    room = width - len(text)
    return " " * (room - room // 2) + text + " " * (room // 2)


class PerUtt:
    """Format of `per_utt`: three aligned rows and the counts of each utterance."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.cells = _Cells(vocabulary.units)

    def text(self, utt: str, columns: Columns, counts: Counts) -> str:
        """Write the four lines of an utterance."""
        cells = self.cells
        made = [cells[pair] for pair in zip(*columns)]
        refs, hyps, ops = map("  ".join, zip(*made)) if made else ("", "", "")
        csid = f"{counts.correct} {counts.substitutions} {counts.insertions} {counts.deletions}"
        return f"{utt} ref  {refs}\n{utt} hyp  {hyps}\n{utt} op   {ops}\n{utt} #csid {csid}\n"


def write_per_spk(path: Path, speakers: dict[str, Tally]) -> None:
    """Write `per_spk`: counts and percentages of every speaker, and their sum."""
    width = max(SPEAKER_WIDTH, *map(len, speakers))
    total = Tally()
    names = ["#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err"]
    lines = [f"{'SPEAKER':<{width}} id  " + " ".join(f"{name:>{FIELD_WIDTH}}" for name in names)]
    for speaker in sorted(speakers):
        tally = speakers[speaker]
        lines += _speaker_lines(f"{speaker:<{width}}", tally)
        for name, value in vars(tally).items():
            setattr(total, name, getattr(total, name) + value)
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

    folder: the decode folder. prefix: wer, cer or mer. tag: name of the decoding, as in `cer_beam4`.
    """

    def __init__(self, folder: Path, prefix: str, tag: str, vocabulary: Vocabulary) -> None:
        self.folder, self.prefix, self.tag = folder, prefix, tag
        self.scoring = folder / "scoring_kaldi"
        self.details = self.scoring / f"{prefix}_details"
        self.ops = Ops(vocabulary)
        self.speakers: dict[str, Tally] = {}
        self.top: list[Row] = []
        self._format = PerUtt(vocabulary)
        self._stack = ExitStack()

    def __enter__(self) -> KaldiReports:
        open_ = self._stack.enter_context
        self._per_utt = open_(atomic_open(self.details / "per_utt"))
        self._refs = open_(atomic_open(self.scoring / "test_filt.txt"))
        self._hyps = open_(atomic_open(self.scoring / "hyp_filt.txt"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, utt: str, speaker: str, ref: list[int], columns: Columns, errors: Errors) -> None:
        """Write one utterance: its alignment, and those pairs of it that are errors."""
        counts = split(len(ref), errors)
        self._per_utt.write(self._format.text(utt, columns, counts))
        tally = self.speakers.get(speaker)
        if tally is None:
            tally = self.speakers[speaker] = Tally()
        tally.add(counts)
        self.ops.add(ref, errors)

    def texts(self, utt: str, ref: list[str], hyp: list[str]) -> None:
        """Write what was compared, after normalisation."""
        self._refs.write(f"{utt} {' '.join(ref)}\n")
        self._hyps.write(f"{utt} {' '.join(hyp)}\n")

    def finish(self, tally: Tally, interval: Interval) -> str:
        """Write what needs the sums; give back the `%WER` line with the path, as in `best_wer`."""
        write_per_spk(self.details / "per_spk", self.speakers)
        self.top = self.ops.write(self.details / "ops")
        bounds = f"[ {interval.low:.2f}, {interval.high:.2f} ]"
        _write(self.details / f"{self.prefix}_bootci", f"Set1: %WER {interval.mean:.2f} 95% Conf Interval {bounds}\n")
        place = self.folder / f"{self.prefix}_{self.tag}"
        scored = f"Scored {tally.utterances} sentences, {tally.missing} not present in hyp.\n"
        _write(place, f"{tally.line()}\n%SER {tally.sentence_rate:.2f} [ {tally.wrong} / {tally.utterances} ]\n{scored}")
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
