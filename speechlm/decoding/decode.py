"""A data directory to hypotheses: in jobs, longest utterances first, resumable."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.decoding.parts import Part
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
    """Decode one job's share into its part; what an interrupted run has decoded is kept."""
    part.open()
    seconds = dataset.sizes.tolist()
    mine = [index for index in job_indices(seconds, job, num_jobs) if dataset.ids[index] not in part.done]
    if part.done:
        LOGGER.info("%d utterances were decoded before, %d are left", len(part.done), len(mine))
    batches = list(batches_of(mine, seconds, recognizer.decode["batch_seconds"]))
    for batch in progress(batches, total=len(batches), what="decoding", unit="batch"):
        examples = [dataset.read(index, 0) for index in batch]
        start = time.perf_counter()
        results = recognizer.recognize(collate(examples))
        spent = (time.perf_counter() - start) / len(examples)
        part.add(
            [
                _entry(example.id, example.seconds, spent, nbest)
                for example, nbest in zip(examples, results, strict=True)
            ]
        )


def _entry(utt: str, seconds: float, spent: float, nbest: list[Result]) -> dict[str, Any]:
    found = [{"text": r.text, "score": r.score, "tokens": r.tokens, "token_scores": r.token_scores} for r in nbest]
    entry = {"id": utt, "seconds": seconds, "spent": spent, "nbest": found}
    return {**entry, "ctc": nbest[0].ctc} if nbest and nbest[0].ctc else entry
