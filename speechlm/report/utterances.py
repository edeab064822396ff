"""The utterances of a decode folder as the page's script reads them: alignment, counts, classes, sound."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.io.datadir import DataDir
from speechlm.io.tables import iter_table, read_table
from speechlm.report.compare import per_utt_path
from speechlm.report.facts import Facts
from speechlm.report.sound import RATE, data_uri, flac, palette_png, spectrogram
from speechlm.scoring.homophones import compare as sounds_alike
from speechlm.scoring.insertions import CLASSES
from speechlm.scoring.kaldi import Aligned, read_per_utt

LOGGER = logging.getLogger(__name__)
LONGEST = 60.0
"""Seconds of the longest utterance whose audio is put into the page."""
FAILURES = 3
"""Recordings that cannot be read before the page does without audio: the corpus is not here, or behind pipes."""
GAP, ALIKE = 0, 1

Entry = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """How much goes into a page: utterances of each set (the worst), and those of them that get audio."""

    utterances: int = 10_000
    audio: int = 20
    allow_pipes: bool = False


def tokens(found: Aligned, join: str, chinese: bool) -> list[str | list[Any]]:
    """Write an alignment compactly: runs of correct units as one string, an error as [reference, hypothesis].

    A gap is 0; a third member 1 marks a substitution that sounds alike (Mandarin).
    """
    made: list[str | list[Any]] = []
    run: list[str] = []
    for ref, hyp in found.pairs:
        if ref == hyp and ref is not None:
            run.append(ref)
            continue
        if run:
            made.append(join.join(run))
            run = []
        error: list[Any] = [GAP if ref is None else ref, GAP if hyp is None else hyp]
        if chinese and ref and hyp and sounds_alike(ref, hyp):
            error.append(ALIKE)
        made.append(error)
    if run:
        made.append(join.join(run))
    return made


def entries(facts: Facts, data: Path | None, choice: Choice) -> list[Entry]:
    """Make the entries of the worst utterances of a decode folder, worst first.

    data: the Kaldi data directory that was decoded, for durations; None leaves them out.
    """
    score = facts.score
    join = "" if score["unit"] == "char" else " "
    chinese = score["language"] == "zh" and score["unit"] != "word"
    classes = _classes(facts)
    missing = _listed(facts.folder / "scoring_kaldi" / "missing_utts")
    speakers = _table(score.get("utt2spk"))
    seconds = _table(data / "utt2dur" if data else None)
    made: list[Entry] = []
    for found in read_per_utt(per_utt_path(facts.folder, score["unit"])):
        counts = found.counts
        entry: Entry = {"id": found.id, "k": speakers.get(found.id, ""), "t": tokens(found, join, chinese)}
        entry.update(n=counts.words, s=counts.substitutions, i=counts.insertions, d=counts.deletions)
        if found.id in classes:
            entry["c"] = classes[found.id]
        if found.id in missing:
            entry["m"] = 1
        if found.id in seconds:
            entry["l"] = round(float(seconds[found.id]), 2)
        made.append(entry)
    made.sort(key=lambda one: (-(one["s"] + one["i"] + one["d"]), one["id"]))
    return made[: choice.utterances]


def _classes(facts: Facts) -> dict[str, list[str]]:
    path = per_utt_path(facts.folder, facts.score["unit"]).with_name("classes")
    names = list(CLASSES)
    rows = iter_table(path) if path.exists() else iter(())
    return {utt: [name for name in text.split() if name in names] for utt, text in rows}


def _listed(path: Path) -> set[str]:
    return {utt for utt, _ in iter_table(path)} if path.exists() else set()


def _table(path: Path | str | None) -> dict[str, str]:
    return read_table(path) if path and Path(path).exists() else {}


def add_sound(made: list[Entry], data: Path | None, choice: Choice) -> int:
    """Put audio ("a") and spectrogram ("p") into the worst entries that have any; give how many got it.

    A recording that cannot be read is told in the log and left out: the page is for looking at errors, not for checking
    the data.
    """
    if data is None or not choice.audio:
        return 0
    folder = DataDir(data)
    if folder.wav_scp is None:
        return 0
    done = failed = 0
    for entry in made:
        if done >= choice.audio or (failed >= FAILURES and not done):
            break
        if entry.get("l", 0.0) > LONGEST:
            continue
        try:
            samples = folder.audio(entry["id"], RATE, choice.allow_pipes)
        except UserError as error:
            LOGGER.warning("no audio of %s in the page: %s", entry["id"], error)
            failed += 1
            continue
        if len(samples) > LONGEST * RATE:
            continue
        entry["l"] = round(len(samples) / RATE, 2)
        entry["a"] = data_uri("audio/flac", flac(samples))
        entry["p"] = data_uri("image/png", palette_png(spectrogram(samples)))
        done += 1
    return done
