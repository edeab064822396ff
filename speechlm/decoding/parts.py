"""What jobs write and how it is put together; no torch here, so that merging starts at once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.io.tables import write_table


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
