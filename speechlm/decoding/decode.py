"""A data directory to hypotheses: in jobs, resumable, merged by utterance id."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.data.collate import collate
from speechlm.data.dataset import SpeechDataset
from speechlm.decoding.recognizer import Recognizer, Result
from speechlm.io.files import atomic_open
from speechlm.io.tables import write_table

LOGGER = logging.getLogger(__name__)


@dataclass
class Part:
    """What one job has written so far: one JSON line an utterance, in a file that is only appended to.

    path: the file. header: what the lines depend on (weights, decoding options); another header starts afresh.
    """

    path: Path
    header: dict[str, Any]
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open(self) -> None:
        """Read what an interrupted job left; a last line cut in the middle is taken away."""
        self.done = {}
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        if not whole or json.loads(whole[0]) != self.header:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = [json.dumps(self.header, ensure_ascii=False) + "\n"]
        for line in whole[1:]:
            entry = json.loads(line)
            self.done[entry["id"]] = entry
        with atomic_open(self.path) as file:
            file.writelines(whole)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Append the utterances of one batch."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        self.done.update((entry["id"], entry) for entry in entries)


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


def doubts(entries: list[dict[str, Any]]) -> dict[str, int]:
    """Count answers that were compared with the CTC head, and those it doubts by kind; {} where there is no head."""
    checked = [entry["ctc"]["doubt"] for entry in entries if "ctc" in entry]
    return {"checked": len(checked), **Counter(sorted(filter(None, checked)))} if checked else {}


def part_path(out: Path, job: int, num_jobs: int) -> Path:
    """Name a job's part."""
    return out / "parts" / f"{job}-of-{num_jobs}.jsonl"


def merge(out: Path, ids: list[str], num_jobs: int, header: dict[str, Any]) -> dict[str, Any]:
    """Put the parts of all jobs together: `text`, `nbest.jsonl` and `stats.json`; every utterance exactly once.

    Raises UserError when a part is missing or was decoded with another model or other options.
    """
    entries: dict[str, dict[str, Any]] = {}
    for job in range(1, num_jobs + 1):
        part = Part(part_path(out, job, num_jobs), header)
        if not part.path.exists() or json.loads(part.path.open(encoding="utf-8").readline()) != header:
            raise UserError(f"{part.path}: not decoded with this model and these options; run stage 5 again")
        part.open()
        entries.update(part.done)
    missing = [utt for utt in ids if utt not in entries]
    if missing:
        raise UserError(
            f"{out}: {len(missing)} of {len(ids)} utterances are not decoded ({missing[0]} ...); run stage 5 again"
        )
    with atomic_open(out / "nbest.jsonl") as file:
        file.writelines(json.dumps(entries[utt], ensure_ascii=False) + "\n" for utt in ids)
    audio, spent = (sum(entries[utt][key] for utt in ids) for key in ("seconds", "spent"))
    stats = {
        "utterances": len(ids),
        "audio_seconds": round(audio, 3),
        "decode_seconds": round(spent, 3),
        "jobs": num_jobs,
        "ctc_doubts": doubts([entries[utt] for utt in ids]),
        **header,
    }
    with atomic_open(out / "stats.json") as file:
        json.dump(stats, file, ensure_ascii=False, indent=2)
        file.write("\n")
    write_table(out / "text", {utt: entries[utt]["nbest"][0]["text"] if entries[utt]["nbest"] else "" for utt in ids})
    return stats
