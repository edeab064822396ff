"""A data directory to hypotheses: in jobs, longest utterances first, resumable."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import Any

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.decoding.parts import Part, speed_line, speeds
from speechlm.decoding.recognizer import Recognizer, Result

LOGGER = logging.getLogger(__name__)


def job_indices(seconds: Sequence[float], job: int, num_jobs: int) -> list[int]:
    """Choose the utterances of job 1..num_jobs: every num_jobs-th in order of duration, so that jobs take equally long."""
    if not 1 <= job <= num_jobs:
        raise UserError(f"--job must be 1 to {num_jobs}, is {job}")
    order = sorted(range(len(seconds)), key=lambda index: (-seconds[index], index))
    return order[job - 1 :: num_jobs]


def batches_of(indices: list[int], seconds: Sequence[float], batch_seconds: float) -> Iterator[list[int]]:
    """Group indices, longest first, as long as utterances times the longest stays within `batch_seconds`."""
    batch: list[int] = []
    for index in indices:
        if batch and (len(batch) + 1) * seconds[batch[0]] > batch_seconds:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def decode_job(recognizer: Recognizer, dataset: SpeechDataset, part: Part, job: int, num_jobs: int) -> None:
    """Decode one job's share into its part; what an interrupted run has decoded is kept.

    In the LLM's search utterances that have ended leave the slots at once and the next ones enter.
    """
    part.open()
    seconds = dataset.sizes.tolist()
    mine = [index for index in job_indices(seconds, job, num_jobs) if dataset.ids[index] not in part.done]
    if part.done:
        LOGGER.info("%d utterances were decoded before, %d are left", len(part.done), len(mine))
    feed = _Feed(dataset, list(batches_of(mine, seconds, recognizer.decode["batch_seconds"])))
    last = time.perf_counter()
    answers = progress(recognizer.stream(feed.batches()), total=len(mine), what="decoding")
    for number, nbest in answers:
        now = time.perf_counter()
        # reading is no part of decoding; what an utterance took is not known where many are decoded together: their sum is
        phases = recognizer.stopwatch.take(now - last - feed.take_reading())
        part.add([_entry(*feed.told[number], phases, nbest)])
        last = now
    LOGGER.info("%d utterances decoded: %s", len(part.done), speed_line(speeds(list(part.done.values()))))


class _Feed:
    """Reads batches when they are wanted, remembers what they held, and how long reading took.

    told: id and seconds of every utterance so far.
    """

    def __init__(self, dataset: SpeechDataset, indices: list[list[int]]) -> None:
        self.dataset, self.indices = dataset, indices
        self.told: list[tuple[str, float]] = []
        self.reading = 0.0

    def batches(self) -> Iterator[Batch]:
        """Read one batch after the other."""
        for batch in self.indices:
            start = time.perf_counter()
            examples = [self.dataset.read(index, 0) for index in batch]
            self.told += [(example.id, example.seconds) for example in examples]
            made = collate(examples)
            self.reading += time.perf_counter() - start
            yield made

    def take_reading(self) -> float:
        """Give the seconds of reading since the last call."""
        spent, self.reading = self.reading, 0.0
        return spent


def _entry(utt: str, seconds: float, phases: dict[str, float], nbest: list[Result]) -> dict[str, Any]:
    """Make the line of an utterance; phases: seconds since the line before."""
    found = [{"text": r.text, "score": r.score, "tokens": r.tokens, "token_scores": r.token_scores} for r in nbest]
    entry = {"id": utt, "seconds": seconds, "spent": sum(phases.values()), "phases": phases, "nbest": found}
    best = nbest[0] if nbest else None
    if best and best.ctc:
        entry["ctc"] = best.ctc
    if best and best.draft:
        entry["draft"] = best.draft
    if best and best.listed is not None:
        entry["hot_words"] = best.listed
    if best and best.times:
        entry["times"] = best.times.reason or [astuple(word) for word in best.times.words]
    return entry
