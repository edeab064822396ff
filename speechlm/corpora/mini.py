"""The mini corpus: Mandarin (or any text) synthesised on the spot, with disjoint sentences and disjoint voices."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.mini_sentences import sentences
from speechlm.corpora.mini_voices import Job, library, make, speakers, spoken
from speechlm.io.files import atomic_dir
from speechlm.text.normalize import normalize

log = logging.getLogger("speechlm")


class MiniCorpus(Corpus):
    """Synthetic speech of espeak-ng: everyday Mandarin sentences, or the lines of a text file, by 55 voices.

    No voice and no sentence of one split is in another. The same options give the same bytes.

    Options:
        seed: another seed gives other sentences, pitches, speeds and noises.
        num_train: utterances to train on.
        num_dev: utterances of the development set.
        num_test: utterances of the test set.
        text_file: file of sentences, one a line, to be spoken instead of the built-in ones; where it has too few for
            training, several voices speak the same sentence.
        language: language of the sentences; the built-in ones are zh.
        noise: share of the utterances that get noise, at 10 to 30 dB.
        num_voices: voices that speak the training set, 0 for all 129; few are learnt quickly, many carry over to others.
        nj: processes that speak; 0 is one for each core.
    """

    url = "synthesised here by espeak-ng; nothing is downloaded"
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
        language: Literal["zh", "en", "ja"] = "zh",
        noise: float = 0.5,
        num_voices: int = 0,
        nj: int = 0,
    ) -> None:
        super().__init__(folder)
        if min(num_train, num_dev, num_test) < 1:
            raise UserError(f"num_train {num_train}, num_dev {num_dev}, num_test {num_test}: each must be at least 1")
        if not 0.0 <= noise <= 1.0:
            raise UserError(f"noise {noise}: must be a share from 0 to 1")
        if text_file is None and language != "zh":
            raise UserError(f"language {language}: the built-in sentences are zh; give a text_file")
        if num_voices < 0:
            raise UserError(f"num_voices {num_voices}: must be 0 (all) or more")
        self.num_voices = num_voices
        self.counts = {"train": num_train, "dev": num_dev, "test": num_test}
        self.seed, self.text_file, self.language, self.noise = seed, text_file, language, noise
        self.nj = nj or os.cpu_count() or 1
        self._plan: dict[str, list[str]] | None = None

    def expected(self, split: str) -> int | None:
        """Give the number that was asked for."""
        return self.counts.get(split)

    def plan(self) -> dict[str, list[str]]:
        """Choose the sentences of every split."""
        if self._plan is None:
            total = sum(self.counts.values())
            pool = sentences(total, self.seed) if self.text_file is None else self._lines(Path(self.text_file))
            self._plan = share_out(pool, self.counts)
        return self._plan

    def _lines(self, path: Path) -> list[str]:
        """Read the sentences of a text file: each once, sayable, in an order that the seed decides."""
        if not path.is_file():
            raise UserError(f"{path}: no such text file; it must hold one sentence a line")
        try:
            raw = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-8 at byte {error.start}; convert it (iconv -t utf-8)") from error
        lines = list(dict.fromkeys(filter(None, (normalize(line, self.language) for line in raw))))
        heard = library().sayable([spoken(line, self.language) for line in lines], self.language)
        kept = [line for line, sayable in zip(lines, heard, strict=True) if sayable]
        if len(kept) < len(lines):
            lost = len(lines) - len(kept)
            log.warning("%s: %d of %d lines left out, the voice cannot say them", path, lost, len(lines))
        random.Random(f"lines {self.seed}").shuffle(kept)
        return kept

    def utterances(self, split: str) -> Iterator[Utterance]:
        """Speak the sentences of a split into `<folder>/synthetic_<split>/*.wav`, then list them."""
        self.check_split(split, self.counts)
        place = self.folder / f"synthetic_{split}"
        with atomic_dir(place) as temporary:
            jobs = self._jobs(split, temporary)
            for job, seconds in zip(jobs, speak_all(jobs, self.nj), strict=True):
                yield Utterance(job.id, job.speaker.id, str(place / f"{job.id}.wav"), job.text, seconds=seconds)

    def _jobs(self, split: str, folder: Path) -> list[Job]:
        people = speakers(split, self.seed)
        chooser = random.Random(f"speakers {self.seed} {split}")
        if split == "train" and self.num_voices:
            people = random.Random(f"voices {self.seed}").sample(people, min(self.num_voices, len(people)))
        jobs = []
        for index, text in enumerate(self.plan()[split]):
            # Everyone speaks about equally often: a new order of all speakers each round.
            if index % len(people) == 0:
                chooser.shuffle(people)
            speaker = people[index % len(people)]
            name = f"{speaker.id}-{index:05d}"
            jobs.append(
                Job(
                    id=name,
                    text=text,
                    spoken=spoken(text, self.language),
                    speaker=speaker,
                    language=self.language,
                    path=str(folder / f"{name}.wav"),
                    key=f"{self.seed} {split} {index}",
                    noise=self.noise,
                )
            )
        return jobs


def share_out(pool: list[str], counts: dict[str, int]) -> dict[str, list[str]]:
    """Give every split its sentences, no sentence to two of them.

    The first sentence of every character goes to the training set where there is room, so that what is tested was
    heard. If the pool is too small for the training set, its sentences are repeated. Raises UserError if it is too
    small for the others.
    """
    held_out = counts["dev"] + counts["test"]
    if len(pool) <= held_out:
        raise UserError(f"{len(pool)} sentences are too few for {held_out} to test on and some to train on")
    first, rest, seen = [], [], set()
    room = min(counts["train"], len(pool) - held_out)
    for sentence in pool:
        fresh = not seen.issuperset(sentence) and len(first) < room
        (first if fresh else rest).append(sentence)
        seen.update(sentence if fresh else "")
    train = first + rest[held_out:]
    if len(train) < counts["train"]:
        log.info("%d sentences for %d training utterances: several voices speak one", len(train), counts["train"])
    train = [train[i % len(train)] for i in range(counts["train"])]
    return {"train": train, "dev": rest[counts["test"] : held_out], "test": rest[: counts["test"]]}


def speak_all(jobs: list[Job], nj: int) -> Iterator[float]:
    """Make all utterances in `nj` processes; yields their seconds in order."""
    import scipy.signal  # noqa: F401 - slow to import, so once and before the fork

    library()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(nj, len(jobs)), mp_context=context) as pool:
        yield from pool.map(make, jobs, chunksize=8)
