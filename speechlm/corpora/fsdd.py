"""Spoken English digits at 8 kHz: the Free Spoken Digit Dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.kaldi import KaldiCorpus

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
FILE = re.compile(r"(\d)_([a-z]+)_(\d+)")
ID = re.compile(r"([a-z]+)-(\d)-(\d+)")
TEST_TAKES = range(0, 5)
DEV_TAKES = range(5, 7)


@dataclass(frozen=True)
class Take:
    """One recording: the digit, who said it and for which time."""

    digit: int
    speaker: str
    number: int
    path: Path
    seconds: float | None = None

    @property
    def split(self) -> str:
        """The publisher's test set is takes 0-4; the development set is cut from what it trains on."""
        if self.number in TEST_TAKES:
            return "test"
        return "dev" if self.number in DEV_TAKES else "train"


class FsddCorpus(Corpus):
    """Spoken digits of six speakers: takes 0-4 are the test set (as published), 5-6 the development set.

    Read from the public repository (`recordings/7_jackson_32.wav`) or from a pack of Kaldi data directories with ids as
    `jackson-7-32`.
    """

    url = "https://github.com/Jakobovski/free-spoken-digit-dataset"

    def takes(self) -> Iterator[Take]:
        """List all recordings of either layout."""
        recordings = self.folder / "recordings"
        if not recordings.is_dir() and (self.folder / "data").is_dir():
            pack = KaldiCorpus(self.folder)
            for split in pack.split_dirs():
                for utterance in pack.utterances(split):
                    if match := ID.fullmatch(utterance.id):
                        yield Take(int(match[2]), match[1], int(match[3]), Path(utterance.audio), utterance.seconds)
                    else:
                        self.drop("no id as jackson-7-32")
            return
        for path in sorted(self.need(recordings).glob("*.wav")):
            if match := FILE.fullmatch(path.stem):
                yield Take(int(match[1]), match[2], int(match[3]), path)
            else:
                self.drop("no name as 7_jackson_32.wav")

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the digits of a split."""
        self.check_split(split, self.splits)
        for take in self.takes():
            if take.split == split:
                name = f"{take.speaker}-{take.digit}-{take.number:02d}"
                yield Utterance(name, take.speaker, str(take.path), DIGITS[take.digit], seconds=take.seconds)
