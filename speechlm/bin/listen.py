"""Recordings of any length to transcripts: cut, recognised in batches over all recordings, put together again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from speechlm.bin.assemble import cmvn_of, make_fbank, source_of
from speechlm.core.errors import UserError
from speechlm.core.log import clock
from speechlm.data.cache import MemoryCache
from speechlm.data.collate import collate
from speechlm.data.dataset import Example
from speechlm.data.sources import Features, Source, Waves
from speechlm.decoding.decode import batches_of
from speechlm.decoding.recognizer import Recognizer, Result, load_recognizer
from speechlm.decoding.times import make_times
from speechlm.decoding.transcript import Segment, Transcript, Word
from speechlm.features.vad import Part, split
from speechlm.io.blocks import audio_blocks
from speechlm.io.expdir import ExpDir
from speechlm.io.inputs import Input
from speechlm.io.resample import resample

LOGGER = logging.getLogger(__name__)

POOL = 4
"""Batches whose parts are sorted by length together: little padding, and still bounded memory."""


class Held:
    """The samples of one part in the place of a data directory: what `Features` and `Waves` ask a folder for."""

    feats_scp = utt2spk = None

    def __init__(self) -> None:
        self.samples, self.rate = np.zeros(0, dtype=np.float32), 0

    def audio(self, utt: str, rate: int, allow_pipes: bool = False) -> np.ndarray:
        """Give the samples at `rate` Hz; there is one utterance, whatever its name."""
        return resample(self.samples, self.rate, rate)


@dataclass
class _Job:
    """A recording on its way: its transcript, the parts of it that are not recognised yet, and why it failed."""

    index: int
    transcript: Transcript
    waiting: int = 0
    whole: bool = False
    error: str | None = None


class Listener:
    """A trained experiment that listens to recordings.

    changed: members of the section `decode` that are not as in training. times: words' times are wanted, where the
    experiment can tell them; asked for in `changed`, they are an error where it cannot.
    """

    def __init__(self, exp: ExpDir, values: dict[str, Any], changed: dict[str, Any], *, times: bool = False) -> None:
        self.recognizer: Recognizer = load_recognizer(exp.path, changed)[0]
        self.batch_seconds = self.recognizer.decode["batch_seconds"]
        if times and self.recognizer.times is None and changed.get("times") != "none":
            witness = self.recognizer.witness
            try:
                tokenizer = witness.tokenizer if witness else None
                self.recognizer.times = make_times(values, self.recognizer.model, tokenizer, "word")
            except UserError as error:
                LOGGER.info("words have no times: %s", str(error).partition("; ")[0].removeprefix("decode.times: "))
        self.held = Held()
        self.source = self._source(exp, values)
        self.heard = 0.0

    def _source(self, exp: ExpDir, values: dict[str, Any]) -> Source:
        """Make what turns samples into the encoder's input, by the same steps as a data set."""
        kind, rate, none = source_of(values), values["features"]["rate"], MemoryCache(0.0)
        if kind == "wave":
            return Waves(self.held, rate, None, none, False)  # type: ignore[arg-type]
        if kind != "feats":
            raise UserError(f"{exp.path}: its encoder reads {kind}, no audio; give the folder of a speech recogniser")
        cmvn = cmvn_of(values, exp)
        return Features(self.held, rate, make_fbank(values), cmvn, None, none, False)  # type: ignore[arg-type]

    def transcripts(
        self, inputs: list[Input], max_seconds: float, channel: int | None
    ) -> Iterator[tuple[int, Transcript | str]]:
        """Give (number of the input, its transcript or why there is none), in order, each as soon as it is whole."""
        jobs: list[_Job] = []
        pool: list[tuple[_Job, int, Example]] = []
        seconds = 0.0
        for index, one in enumerate(inputs):
            job = _Job(index, Transcript(one.name))
            jobs.append(job)
            try:
                for place, part, rate in self._parts(one, max_seconds, channel):
                    job.transcript.seconds = part.end / rate
                    pool.append((job, place, self._example(f"{one.name} from {part.start / rate:.2f} s", part, rate)))
                    job.transcript.segments.append(Segment(part.start / rate, part.end / rate, "", 0.0))
                    job.waiting += 1
                    seconds += len(part.samples) / rate
                    if seconds >= POOL * self.batch_seconds:
                        self._recognize(pool)
                        pool, seconds = [], 0.0
            except (UserError, OSError) as error:
                job.error = str(error)
                pool = [entry for entry in pool if entry[0] is not job]
            job.whole = True
            yield from _finished(jobs)
        self._recognize(pool)
        yield from _finished(jobs)

    def _parts(self, one: Input, max_seconds: float, channel: int | None) -> Iterator[tuple[int, Part, int]]:
        """Cut a recording: number of the part, the part, its rate; tell how many cuts found no pause."""
        spoken = number = 0
        with one.located() as path, audio_blocks(path, channel=channel) as (rate, blocks):
            for number, part in enumerate(split(blocks, rate, max_seconds), start=1):
                spoken += part.in_speech
                yield number - 1, part, rate
        if number > 1:
            LOGGER.info("%s: cut into %d parts", one.name, number)
        if spoken:
            LOGGER.warning("%s: %d of %d cuts found no pause and may part a word", one.name, spoken, number - 1)

    def _example(self, name: str, part: Part, rate: int) -> Example:
        self.held.samples, self.held.rate = part.samples, rate
        speech, _ = self.source.read(name, name)
        return Example(name, speech, len(part.samples) / rate, "", None, None, name)

    def _recognize(self, pool: list[tuple[_Job, int, Example]]) -> None:
        """Recognise the parts, longest first, and put what they say into their transcripts."""
        pool = sorted(pool, key=lambda entry: -entry[2].seconds)
        sizes = [entry[2].seconds for entry in pool]
        batches = batches_of(list(range(len(pool))), sizes, self.batch_seconds)
        for index, nbest in self.recognizer.stream(collate([pool[i][2] for i in batch]) for batch in batches):
            job, place, _ = pool[index]
            job.transcript.segments[place] = _segment(job.transcript.segments[place], nbest)
            job.waiting -= 1
        if pool:
            before, self.heard = self.heard, self.heard + sum(entry[2].seconds for entry in pool)
            if before or self.heard > self.batch_seconds:
                LOGGER.info("%s of audio recognised", clock(self.heard))


def _segment(at: Segment, nbest: list[Result]) -> Segment:
    """Fill a segment with the best answer; the words' times count from the recording's start."""
    if not nbest:
        return at
    best, words, reason = nbest[0], None, None
    if best.times:
        reason = best.times.reason
        starts = [(w, at.start + w.start) for w in best.times.words]
        words = [Word(w.word, start, start + w.seconds, w.confidence) for w, start in starts]
    doubt = best.ctc["doubt"] if best.ctc else None
    return Segment(at.start, at.end, best.text, round(best.score, 6), None if reason else words, reason, doubt)


def _finished(jobs: list[_Job]) -> Iterator[tuple[int, Transcript | str]]:
    """Take the jobs from the front of the list that are done."""
    while jobs and jobs[0].whole and (jobs[0].error or not jobs[0].waiting):
        job = jobs.pop(0)
        yield job.index, job.error or job.transcript
