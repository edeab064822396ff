"""Score a decode folder in one pass: Kaldi's files, sclite's files, classes of insertions, and `scoring.json`."""

from __future__ import annotations

import gc
import json
import logging
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.io.tables import iter_table
from speechlm.scoring.align import Vocabulary, align, count
from speechlm.scoring.glm import Mapping, read_glm
from speechlm.scoring.homophones import Homophones, homophones
from speechlm.scoring.insertions import Classifier, Insertions
from speechlm.scoring.kaldi import KaldiReports
from speechlm.scoring.pairs import NotPlain, Pair, read_pairs
from speechlm.scoring.sclite import TrnWriter, report
from speechlm.scoring.significance import Interval, bootstrap_interval
from speechlm.scoring.wer import PREFIX, Tally, Unit, added, reader
from speechlm.text.normalize import Language

LOGGER = logging.getLogger(__name__)
CHUNK = 2048
NAMED = 10
"""Missing hypotheses that the log names; all of them stand in `scoring_kaldi/missing_utts`."""


@dataclass(frozen=True)
class Settings:
    """How a decode folder is scored.

    tag: name of the decoding in file names. prompt: text in front of the answer, to find leaks of it.
    sclite: auto or never. utt2dur: durations, for words per minute on non-speech.
    """

    unit: Unit = "word"
    language: Language = "none"
    tag: str = "best"
    glm: Path | None = None
    prompt: str = ""
    sclite: str = "auto"
    utt2dur: Path | None = None


@dataclass(frozen=True)
class Score:
    """What scoring found; `line` is the `%WER` line of `best_wer`."""

    line: str
    tally: Tally
    interval: Interval
    insertions: Insertions
    missing: list[str]
    homophones: Homophones | None
    sclite: Path


class _Pass:
    """The one pass over the utterances: everything that is counted or written on the way."""

    def __init__(self, settings: Settings, reports: KaldiReports, trn: TrnWriter, vocabulary: Vocabulary) -> None:
        self.reports, self.trn, self.vocabulary = reports, trn, vocabulary
        self.read: Callable[[str], list[str]] = reader(settings.language, settings.unit)
        self.mapping: Mapping | None = read_glm(settings.glm) if settings.glm else None
        self.classifier = Classifier(self.read(settings.prompt))
        self.insertions = Insertions()
        self.words, self.errors = array("i"), array("i")
        self.missing: list[str] = []
        self.classes: list[str] = []

    def units(self, text: str) -> list[str]:
        """Normalise, cut and map one transcript."""
        made = self.read(text)
        return self.mapping.apply(made) if self.mapping else made

    def chunk(self, pairs: list[Pair]) -> None:
        """Score some thousand utterances: they are aligned together."""
        refs = [self.units(pair.ref) for pair in pairs]
        hyps = [self.units(pair.hyp or "") for pair in pairs]
        ref_ids, hyp_ids = self.vocabulary.encode(refs), self.vocabulary.encode(hyps)
        alignments = align(ref_ids, hyp_ids)
        self.reports.ops.add(ref_ids, alignments)
        for pair, ref, hyp, alignment, counts in zip(pairs, refs, hyps, alignments, count(ref_ids, hyp_ids, alignments)):
            self.reports.add(pair.id, pair.speaker, ref, alignment)
            missing = pair.hyp is None
            ref_text, hyp_text = " ".join(ref), " ".join(hyp)
            self.reports.text(pair.id, ref_text)
            self.trn.add(pair.id, pair.speaker, ref_text, hyp_text, counts, missing)
            self.words.append(counts.words)
            self.errors.append(counts.errors)
            names = self.classifier.classes(ref, hyp, pair.ref, pair.hyp or "", counts.errors)
            if names or not ref:
                self.insertions.add(pair.id, counts, names)
            if names:
                self.classes.append(f"{pair.id} {' '.join(names)}\n")
            if missing:
                self.missing.append(pair.id)
        self.reports.flush()
        self.trn.flush()


def score(ref: Path, hyp: Path, out: Path, utt2spk: Path | None = None, settings: Settings | None = None) -> Score:
    """Score hypotheses against references and write all reports under `out`.

    ref, hyp, utt2spk: Kaldi tables. A reference without a hypothesis counts as deletions and is listed; a hypothesis
    without a reference is an error. Raises: UserError with file and line for bad input; nothing is written then.
    """
    settings = settings or Settings()
    try:
        all_ = _passed(read_pairs(ref, hyp, utt2spk, careful=False), out, settings)
    except NotPlain:
        all_ = _passed(read_pairs(ref, hyp, utt2spk), out, settings)
    reports, trn = all_.reports, all_.trn
    tally = added(trn.speakers.values())
    interval = bootstrap_interval(all_.words, all_.errors)
    line = reports.finish(tally, interval)
    _write_list(reports.scoring / "missing_utts", [f"{utt}\n" for utt in all_.missing])
    _write_list(reports.details / "classes", all_.classes)
    if all_.missing:
        named = ", ".join(all_.missing[:NAMED]) + (" ..." if len(all_.missing) > NAMED else "")
        LOGGER.warning("%s: no hypothesis for %d references; they count as deletions: %s", hyp, len(all_.missing), named)
    table = report(trn.folder, trn.speakers, settings.unit, use=settings.sclite)
    alike = None
    if settings.language == "zh" and settings.unit != "word":
        alike = homophones((ref_, hyp_, much) for op, ref_, hyp_, much in reports.ops.rows() if op == "substitution")
    return Score(line, tally, interval, all_.insertions, all_.missing, alike, table)


def _passed(utterances: Iterator[Pair], out: Path, settings: Settings) -> _Pass:
    """Run the one pass; its files appear if it ends well."""
    vocabulary = Vocabulary()
    reports = KaldiReports(out, PREFIX[settings.unit], settings.tag, vocabulary)
    collects = gc.isenabled()
    gc.disable()  # millions of small objects and no cycle among them: looking for cycles costs a tenth of the time
    try:
        with reports, TrnWriter(out / "scoring_sclite", vocabulary.units) as trn:
            all_ = _Pass(settings, reports, trn, vocabulary)
            for pairs in _chunks(utterances):
                all_.chunk(pairs)
            if not all_.words:
                raise UserError("the table of references is empty; there is nothing to score")
    finally:
        if collects:
            gc.enable()
    return all_


def _chunks(pairs: Iterator[Pair]) -> Iterable[list[Pair]]:
    while chunk := list(islice(pairs, CHUNK)):
        yield chunk


def _write_list(path: Path, lines: list[str]) -> None:
    """Write a list that is there only if it is not empty."""
    if lines:
        with atomic_open(path) as file:
            file.writelines(lines)
    else:
        path.unlink(missing_ok=True)


def silence_seconds(path: Path | None, ids: set[str]) -> float | None:
    """Add up the durations of utterances; None if there is no table of them or one is not in it."""
    if path is None or not path.exists() or not ids:
        return None
    total, found = 0.0, 0
    for line, (utt, value) in enumerate(iter_table(path), start=1):
        if utt in ids:
            try:
                total += float(value)
            except ValueError:
                raise UserError(f"{path}:{line}: '{value}' is not a duration in seconds; make utt2dur again") from None
            found += 1
    return total if found == len(ids) else None


def summary(result: Score, settings: Settings, extra: dict[str, Any]) -> dict[str, Any]:
    """Make what `scoring.json` holds: every number of the reports under a name.

    extra: what the caller knows besides (paths, command, commit).
    """
    tally = result.tally
    silence = silence_seconds(settings.utt2dur, result.insertions.silence_ids)
    numbers = {name: value for name, value in vars(tally).items()}
    made: dict[str, Any] = {
        "unit": settings.unit,
        "language": settings.language,
        "tag": settings.tag,
        "glm": str(settings.glm) if settings.glm else None,
        **numbers,
        "errors": tally.errors,
        "rate": _finite(tally.rate),
        "sentence_rate": _finite(tally.sentence_rate),
        "interval": [_finite(result.interval.low), _finite(result.interval.high)],
        "insertions_apart": result.insertions.summary(tally, silence),
    }
    if result.homophones:
        made["homophones"] = result.homophones._asdict()
    return {**made, **extra}


def _finite(value: float) -> float | None:
    """Give a number that JSON can hold."""
    return round(value, 4) if math.isfinite(value) else None


def write_summary(path: Path, values: dict[str, Any]) -> None:
    """Write `scoring.json`."""
    with atomic_open(path) as file:
        json.dump(values, file, ensure_ascii=False, indent=1)
        file.write("\n")
