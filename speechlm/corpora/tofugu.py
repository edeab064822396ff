"""Japanese words, read by two speakers: Tofugu's vocabulary recordings."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Utterance
from speechlm.corpora.kaldi import KaldiCorpus


class TofuguCorpus(KaldiCorpus):
    """Real Japanese words as a pack of Kaldi data directories (CC BY-SA, recordings by Tofugu and WaniKani).

    Its manifest.tsv holds each word's reading in hiragana.

    Options:
        reading: take the readings as transcripts instead of the ordinary spelling.
    """

    url = (
        "https://github.com/tofugu/japanese-vocabulary-pronunciation-audio, "
        "as data/{train,dev,test} with audio/ and manifest.tsv"
    )

    def __init__(self, folder: Path, *, reading: bool = False) -> None:
        super().__init__(folder)
        self.reading = reading

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the words of a split; UserError where the reading of one is missing."""
        readings = self.readings() if self.reading else None
        for utterance in super().utterances(split):
            if readings is None:
                yield utterance
            elif utterance.id in readings:
                yield replace(utterance, text=readings[utterance.id])
            else:
                raise UserError(f"{self.folder / 'manifest.tsv'}: no reading of utterance '{utterance.id}'")

    def readings(self) -> dict[str, str]:
        """Read the manifest: utterance -> hiragana."""
        path = self.need(self.folder / "manifest.tsv")
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = {"utt", "reading"} - set(rows.fieldnames or ())
            if missing:
                raise UserError(f"{path}:1: no column {' and '.join(sorted(missing))}")
            return {row["utt"]: row["reading"] for row in rows if row["reading"]}
