"""Spontaneous Japanese: CSJ, the Corpus of Spontaneous Japanese (NINJAL, NICT, Tokyo Institute of Technology)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.csj_text import HIDDEN, Unit, join_units, plain_text, read_sdb
from speechlm.corpora.swbd import files_below

LECTURE = re.compile(r"([A-Z])\d\d([FM])\d{4}", re.I)
EVAL = {
    "eval1": "A01M0097 A01M0110 A01M0137 A03M0106 A03M0112 A03M0156 A04M0051 A04M0121 A04M0123 A05M0011",
    "eval2": "A01F0001 A01F0034 A01F0063 A01M0056 A01M0141 A02M0012 A03F0072 A03M0016 A06F0135 A06M0064",
    "eval3": "S00F0019 S00F0066 S00F0148 S00F0152 S00M0008 S00M0070 S00M0079 S00M0112 S00M0213 S01F0105",
}
"""The official test sets by lecture, as Kaldi's recipe lists them."""
SAME_SPEAKER = frozenset(["D01M0019", "D02M0028", "D03M0017", "D04M0056", "R00M0187", "S05M0613"])
"""Other recordings of the speaker of A01M0056 (eval2), which Kaldi's recipe keeps out of training."""


class CsjCorpus(Corpus):
    """Japanese lectures and talks, 660 hours in all; 3302 recordings with a file of short units (.sdb) for each.

    The corpus is licensed and comes on a medium from its publisher. Found below the folder, wherever they lie:
    `A01F0001.sdb` and `A01F0001.wav` (16 kHz), or `D01F0001-L.wav` and `-R.wav` for the two sides of a dialogue. So are
    `MORPH/SDB/{core,noncore}` with `WAV/{core,noncore}` (USB edition), `dvd3/A01F0055` (DVDs), `sdb` with `WAV`.

    An utterance is a chain of the publisher's units over short pauses, the rule of Kaldi's recipe, and has its ids.
    Utterances in which something was silenced for privacy (tag R, ×) are left out and counted. The speaker is the
    lecture: the ids of the speakers are not in these files.

    Not certain, as no medium was at hand: that every edition has time in the fourth and surface in the sixth column,
    as public recipes read them; that the six recordings that Kaldi keeps out are all by speakers of the test sets.

    Splits: eval1, eval2, eval3 are the official tests; dev is whole lectures, chosen by a hash of their ids so that
    all kinds are in it, until it has `dev_utterances` (Kaldi takes the first 4,000 utterances); train the others.

    Options:
        kinds: first letters of the recordings that train and dev are made of; A academic lectures, S simulated public
            speaking, M other lectures, R readings, D dialogues.
        dev_utterances: size of dev, at least.
        pause: longest pause in seconds within an utterance.
        join_seconds: an utterance that is longer is not continued.
        fillers: keep fillers (tag F) in the transcripts.
        fragments: keep fragments of words (tag D) in the transcripts.
        allow_partial: accept test sets with fewer than their ten lectures.
    """

    url = "https://clrd.ninjal.ac.jp/csj/"
    splits = ("train", "dev", *EVAL)

    def __init__(
        self,
        folder: Path,
        *,
        kinds: list[str] = ["A", "S", "M"],  # noqa: B006 - read, never changed
        dev_utterances: int = 4000,
        pause: float = 0.5,
        join_seconds: float = 10.0,
        fillers: bool = True,
        fragments: bool = True,
        allow_partial: bool = False,
    ) -> None:
        super().__init__(folder)
        self.need(folder)
        if unknown := sorted(set(kinds) - set("ASMRD")):
            raise UserError(f"--kinds: no recordings of the kind {unknown[0]}; there are A, S, M, R and D")
        self.kinds, self.dev_utterances = frozenset(kinds), dev_utterances
        self.pause, self.join_seconds = pause, join_seconds
        self.fillers, self.fragments, self.allow_partial = fillers, fragments, allow_partial

    @cached_property
    def audio(self) -> dict[str, Path]:
        """Where each recording lies, by its name in capitals: A01F0001, D01F0001-L."""
        return {path.stem.upper(): path for path in reversed(files_below([self.folder], ".wav"))}

    @cached_property
    def lectures(self) -> dict[str, Path]:
        """The .sdb of each lecture, in C order."""
        found = {path.stem.upper(): path for path in reversed(files_below([self.folder], ".sdb"))}
        if not found:
            raise UserError(f"{self.folder}: no *.sdb anywhere below; give the folder of the whole corpus ({self.url})")
        return {name: found[name] for name in sorted(found) if LECTURE.fullmatch(name)}

    @cached_property
    def held_out(self) -> tuple[list[str], list[str]]:
        """Lectures of dev and of train."""
        tests = {name for names in EVAL.values() for name in names.split()} | SAME_SPEAKER
        left = [name for name in self.lectures if name[0] in self.kinds and name not in tests]
        left.sort(key=lambda name: (zlib.crc32(name.encode()), name))
        count = 0
        for number, name in enumerate(left):
            if count >= self.dev_utterances:
                return left[:number], left[number:]
            count += sum(1 for _ in self._lecture(name))
        raise UserError(
            f"{self.folder}: {count} utterances in {len(left)} lectures of the kinds {', '.join(sorted(self.kinds))}, no more "
            f"than --dev_utterances {self.dev_utterances}: nothing is left to train on; is the corpus whole?"
        )

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the utterances of a split."""
        self.check_split(split, self.splits)
        if split in EVAL:
            names = EVAL[split].split()
            lacking = [name for name in names if name not in self.lectures]
            if lacking and not self.allow_partial:
                raise UserError(f"{self.folder}: {split} lacks {len(lacking)} of {len(names)} lectures ({lacking[0]} ...); "
                                "complete the corpus, or say --allow_partial true")  # fmt: skip
            names = [name for name in names if name in self.lectures]
        else:
            names = self.held_out[0 if split == "dev" else 1]
            self.dropped = {}  # what was counted while dev was chosen
        for name in names:
            yield from self._lecture(name)

    def _lecture(self, name: str) -> Iterator[Utterance]:
        """List the utterances of a recording, of both sides if it is a dialogue."""
        units = read_sdb(self.lectures[name])
        for channel in sorted({unit.channel for unit in units}):
            own = [unit for unit in units if unit.channel == channel]
            speaker = f"{name}-{channel}" if name[0] == "D" else name
            for joined in join_units(own, pause=self.pause, most=self.join_seconds):
                yield from self._utterance(joined, speaker)

    def _utterance(self, unit: Unit, speaker: str) -> Iterator[Utterance]:
        text = plain_text(unit.surface, fillers=self.fillers, fragments=self.fragments)
        if speaker not in self.audio:
            self.drop("without audio")
        elif HIDDEN in text:
            self.drop("with silenced names")
        elif not text or unit.end <= unit.start:
            self.drop("without words")
        else:
            name = f"{speaker}_{round(1000 * unit.start):07d}_{round(1000 * unit.end):07d}"
            gender = LECTURE.fullmatch(speaker[:8])[2].lower()  # type: ignore[index] - the lectures' names are of this form
            yield Utterance(name, speaker, str(self.audio[speaker]), text, unit.start, unit.end, speaker, gender=gender)
