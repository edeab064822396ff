"""What every corpus does: list its utterances; and how their list becomes a Kaldi data directory."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.corpora.download import Archive, fetch
from speechlm.io.files import atomic_dir, atomic_open
from speechlm.io.tables import write_table


@dataclass(frozen=True)
class Utterance:
    """One utterance: where its audio lies and what is said.

    audio: path of a sound file, or a Kaldi pipe "command |". start, end: seconds in a longer recording, whose id is
    `recording`; None for a whole file. channel: from 0, for recordings with several. seconds: duration where the corpus
    tells it (else it is read from the file's header). gender: m or f where the corpus tells it.
    """

    id: str
    speaker: str
    audio: str
    text: str
    start: float | None = None
    end: float | None = None
    recording: str = ""
    channel: int | None = None
    seconds: float | None = None
    gender: str = ""


class Corpus(ABC):
    """A corpus in the folder `folder`, in the layout of its publisher.

    url: where people get it. splits: what `speechlm prepare` makes unless told otherwise. dropped: reason -> number of
    utterances that were left out, for the report. empty_text: True for sounds without words. makes_audio: True where it
    makes its audio itself and writes it into `folder`. A kind's options are the keyword-only parameters of its
    `__init__`.
    """

    url: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "test")
    empty_text: ClassVar[bool] = False
    makes_audio: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dropped: dict[str, int] = {}

    @abstractmethod
    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the utterances of a split, in any order. Raises UserError if the folder is not the corpus."""

    def archives(self) -> list[Archive]:
        """List what has to be downloaded; empty where the publisher has no plain archives."""
        return []

    def fetch(self) -> None:
        """Download and unpack what is not there. Raises UserError if people have to get the corpus by hand."""
        archives = self.archives()
        if not archives:
            raise UserError(f"--download: nothing can be downloaded here; get the corpus from {self.url}")
        for archive in archives:
            fetch(archive, self.folder)

    def expected(self, split: str) -> int | None:
        """Give the number of utterances the complete split has, None where that is not known."""
        return None

    def finish(self, split: str, folder: Path) -> None:  # noqa: B027 - most corpora have nothing to add
        """Write what belongs to a split besides Kaldi's tables (stm and glm, say) into its data directory."""

    def drop(self, reason: str) -> None:
        """Count an utterance that is left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def check_split(self, split: str, known: Iterable[str]) -> None:
        """Raise UserError if there is no such split."""
        known = list(known)
        if split not in known:
            raise UserError(f"{self.folder}: no split '{split}'; there are {', '.join(known) or 'none'}")

    def need(self, path: Path) -> Path:
        """Give `path` back if it is there; else say where the corpus comes from."""
        if not path.exists():
            raise UserError(f"{path}: not found; is --corpus_dir {self.folder} the corpus of {self.url} ?")
        return path


def write_data_dir(
    utterances: Iterable[Utterance], folder: Path, *, what: str = "", total: int | None = None
) -> dict[str, float]:
    """Write wav.scp, text, utt2spk, spk2utt, utt2dur and, where recordings have parts, segments.

    The folder appears when all is written. Returns {"utterances", "speakers", "seconds"}. Raises UserError for an id
    that comes twice, for a split without utterances and for audio that cannot be read.
    """
    tables: dict[str, dict[str, str]] = {
        name: {} for name in ("wav.scp", "text", "utt2spk", "utt2dur", "segments", "spk2gender")
    }
    speakers: dict[str, list[str]] = {}
    seconds = 0.0
    for utterance in progress(utterances, total=total, what=what or str(folder)):
        if utterance.id in tables["text"]:
            raise UserError(f"{folder}: utterance '{utterance.id}' comes twice ({utterance.audio}); ids must be unique")
        length = _seconds(utterance)
        seconds += length
        recording = utterance.recording or utterance.id
        tables["wav.scp"][recording] = _location(utterance.audio)
        tables["text"][utterance.id] = utterance.text
        tables["utt2spk"][utterance.id] = utterance.speaker
        tables["utt2dur"][utterance.id] = f"{length:.3f}"
        if utterance.start is not None:
            channel = "" if utterance.channel is None else f" {utterance.channel}"
            end = utterance.start + length
            tables["segments"][utterance.id] = f"{recording} {utterance.start:.3f} {end:.3f}{channel}"
        speakers.setdefault(utterance.speaker, []).append(utterance.id)
        if utterance.gender:
            tables["spk2gender"][utterance.speaker] = utterance.gender
    if not tables["text"]:
        raise UserError(f"{folder}: the split has no utterance; check --corpus_dir")
    if tables["segments"] and len(tables["segments"]) != len(tables["text"]):
        raise UserError(
            f"{folder}: {len(tables['segments'])} of {len(tables['text'])} utterances have a start; all must"
        )
    tables["spk2utt"] = {speaker: " ".join(sorted(ids)) for speaker, ids in speakers.items()}
    with atomic_dir(folder) as temporary:
        for name, table in tables.items():
            if table:
                write_table(temporary / name, table)
    return {"utterances": len(tables["text"]), "speakers": len(speakers), "seconds": seconds}


def _location(audio: str) -> str:
    if audio.rstrip().endswith("|"):
        return audio
    return str(Path(audio).resolve())


def _seconds(utterance: Utterance) -> float:
    from speechlm.io.audio import duration

    if utterance.seconds is not None:
        return utterance.seconds
    if utterance.end is not None:
        return utterance.end - (utterance.start or 0.0)
    return duration(_location(utterance.audio)) - (utterance.start or 0.0)


def prepare(corpus: Corpus, splits: Iterable[str], data: Path) -> dict[str, dict[str, float]]:
    """Write `data/<split>` for every split and `data/prepared.json`, which tells counts and what was left out.

    Raises UserError if a split has not the number of utterances that the corpus is known for.
    """
    report: dict[str, dict[str, float]] = {}
    for split in splits:
        corpus.dropped = {}
        expected = corpus.expected(split)
        found = write_data_dir(corpus.utterances(split), data / split, what=f"data of {split}", total=expected)
        corpus.finish(split, data / split)
        if expected is not None and found["utterances"] != expected:
            raise UserError(
                f"{corpus.folder}: {split} has {found['utterances']} utterances, the complete corpus has {expected}; "
                "complete it, or say --allow_partial true"
            )
        report[split] = {**found, **{f"dropped, {reason}": count for reason, count in corpus.dropped.items()}}
    path = data / "prepared.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with atomic_open(path) as file:
        json.dump({**known, **report}, file, ensure_ascii=False, indent=2, sort_keys=True)
        file.write("\n")
    return report
