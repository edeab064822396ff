"""Chapters of a text read aloud by synthesised voices, in their order: speech whose utterances have a past and a future."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.mini import speak_all
from speechlm.corpora.mini_voices import Job, library, speakers, spoken
from speechlm.io.files import atomic_dir
from speechlm.io.tables import read_table
from speechlm.text.normalize import normalize


@dataclass(frozen=True)
class Line:
    """One utterance that is to be spoken. chapter: READER-NUMBER, which is its speaker, too."""

    id: str
    chapter: str
    text: str


class TalksCorpus(Corpus):
    """Running text as synthetic speech of espeak-ng: a chapter is read by one voice from its beginning to its end.

    What the context of an utterance is worth (2309.04031) shows only where utterances follow each other. The text is
    LibriSpeech's transcripts, `READER-CHAPTER-NUMBER WORDS`; a sentence that is too long is cut into even pieces.
    Readers, and with them the books they read, are in one split only; the voices are the same in all splits: what is
    tested is other text. The utterance ids of a chapter, which is the speaker in the data directory, stand in its order.
    The same options give the same bytes.

    Options:
        seed: another seed gives other voices, pitches, speeds and noises, and other readers to the splits.
        num_train: utterances to train on.
        num_dev: utterances of the development set.
        num_test: utterances of the test set.
        text_file: transcripts, a sentence a line behind its id READER-CHAPTER-NUMBER.
        language: language of the sentences.
        max_words: words of an utterance at most.
        noise: share of the utterances that get noise, at 10 to 30 dB.
        num_voices: voices that read, 0 for all 129.
        nj: processes that speak; 0 is one for each core.
    """

    url = "synthesised here by espeak-ng from a text_file, such as LibriSpeech's transcripts (https://www.openslr.org/12)"
    makes_audio = True

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        num_train: int = 3200,
        num_dev: int = 100,
        num_test: int = 200,
        text_file: str | None = None,
        language: Literal["zh", "en", "ja"] = "en",
        max_words: int = 12,
        noise: float = 0.5,
        num_voices: int = 0,
        nj: int = 0,
    ) -> None:
        super().__init__(folder)
        if min(num_train, num_dev, num_test, max_words) < 1 or num_voices < 0:
            raise UserError(
                f"num_train {num_train}, num_dev {num_dev}, num_test {num_test}, max_words {max_words}: each must be at "
                f"least 1; num_voices {num_voices}: 0 (all) or more"
            )
        if not 0.0 <= noise <= 1.0:
            raise UserError(f"noise {noise}: must be a share from 0 to 1")
        if text_file is None:
            raise UserError("--text_file: what shall be read? Lines of READER-CHAPTER-NUMBER WORDS, as LibriSpeech's transcripts")
        self.counts = {"train": num_train, "dev": num_dev, "test": num_test}
        self.text_file, self.language, self.max_words = Path(text_file), language, max_words
        self.seed, self.noise, self.num_voices, self.nj = seed, noise, num_voices, nj or os.cpu_count() or 1
        self._plan: dict[str, list[Line]] | None = None

    def expected(self, split: str) -> int | None:
        """Give the number that was asked for."""
        return self.counts.get(split)

    def plan(self) -> dict[str, list[Line]]:
        """Choose the utterances of every split."""
        if self._plan is None:
            self._plan = share_readers(self._lines(), self.counts, self.seed)
        return self._plan

    def _lines(self) -> list[Line]:
        """Read the file; what the voice cannot say is left out."""
        if not self.text_file.is_file():
            raise UserError(f"{self.text_file}: no such text file; it must hold READER-CHAPTER-NUMBER WORDS a line")
        lines = []
        for name, text in sorted(read_table(self.text_file).items()):
            chapter = name.rpartition("-")[0]
            if "-" not in chapter:
                raise UserError(f"{self.text_file}: '{name}' is not READER-CHAPTER-NUMBER, which tells what belongs together")
            pieces = even_pieces(normalize(text, self.language), self.max_words)
            lines += [Line(f"{name}-{i:02d}", chapter, piece) for i, piece in enumerate(pieces)]
        heard = library().sayable([spoken(line.text, self.language) for line in lines], self.language)
        return [line for line, sayable in zip(lines, heard, strict=True) if sayable]

    def utterances(self, split: str) -> Iterator[Utterance]:
        """Speak the utterances of a split into `<folder>/synthetic_<split>/*.wav`, then list them."""
        self.check_split(split, self.counts)
        place = self.folder / f"synthetic_{split}"
        lines = self.plan()[split]
        with atomic_dir(place) as temporary:
            jobs = self._jobs(split, lines, temporary)
            for line, seconds in zip(lines, speak_all(jobs, self.nj), strict=True):
                yield Utterance(line.id, line.chapter, str(place / f"{line.id}.wav"), line.text, seconds=seconds)

    def _jobs(self, split: str, lines: list[Line], folder: Path) -> list[Job]:
        people = speakers("train", self.seed)
        chosen = random.Random(f"voices {self.seed}").sample(people, min(self.num_voices or len(people), len(people)))
        chapters = list(dict.fromkeys(line.chapter for line in lines))
        voices = {chapter: chosen[i % len(chosen)] for i, chapter in enumerate(chapters)}
        return [
            Job(
                id=line.id,
                text=line.text,
                spoken=spoken(line.text, self.language),
                speaker=voices[line.chapter],
                language=self.language,
                path=str(folder / f"{line.id}.wav"),
                key=f"{self.seed} {split} {line.id}",
                noise=self.noise,
            )
            for line in lines
        ]


def even_pieces(text: str, longest: int) -> list[str]:
    """Cut a text into as few pieces of at most `longest` words as possible, of nearly the same size; [] for no words."""
    words = text.split()
    count = -(-len(words) // longest)
    return [" ".join(words[i * len(words) // count : (i + 1) * len(words) // count]) for i in range(count)]


def share_readers(lines: list[Line], counts: dict[str, int], seed: int) -> dict[str, list[Line]]:
    """Give every split whole readers, in an order that the seed decides, until it has its utterances; its last one is cut.

    Raises UserError if there are too few readers or utterances.
    """
    readers: dict[str, list[Line]] = {}
    for line in lines:
        readers.setdefault(line.chapter.partition("-")[0], []).append(line)
    waiting = sorted(readers)
    random.Random(f"readers {seed}").shuffle(waiting)
    shared: dict[str, list[Line]] = {}
    for split in ("test", "dev", "train"):
        found: list[Line] = []
        while len(found) < counts[split]:
            if not waiting:
                raise UserError(
                    f"{len(lines)} utterances of {len(readers)} readers are too few: {split} has {len(found)} of "
                    f"{counts[split]}"
                )
            found += readers[waiting.pop()]
        shared[split] = sorted(found[: counts[split]], key=lambda line: line.id)
    return shared
