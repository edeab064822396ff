"""What jobs write and how it is put together; no torch here, so that merging starts at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechlm.core.errors import UserError
from speechlm.io.ctm import write_ctm
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


def draft_passes(entries: list[dict[str, Any]]) -> dict[str, int]:
    """Sum the LLM's forward passes that drafted answers took, and those without a draft; {} where none was drafted."""
    drafts = [entry["draft"] for entry in entries if "draft" in entry]
    return {name: sum(draft[name] for draft in drafts) for name in ("passes", "without")} if drafts else {}


def written(entries: list[dict[str, Any]]) -> dict[str, int]:
    """Count the hot words that stood in prompts, each once an utterance; {} where none were to be written."""
    listed = [entry["hot_words"] for entry in entries if "hot_words" in entry]
    return {"written": sum(map(len, listed))} if listed else {}


def speeds(entries: list[dict[str, Any]]) -> dict[str, float]:
    """Give the real-time factor, seconds of work for a second of audio: of all, and of encode, prefill and decode.

    {} without audio; parts of an older version have no phases, then there is only `all`.
    """
    audio = sum(entry["seconds"] for entry in entries)
    if not audio:
        return {}
    found = {"all": sum(entry["spent"] for entry in entries) / audio}
    if all("phases" in entry for entry in entries):
        for phase in entries[0]["phases"]:
            found[phase] = sum(entry["phases"][phase] for entry in entries) / audio
    return {name: round(value, 6) for name, value in found.items()}


def speed_line(factors: dict[str, float]) -> str:
    """Say the real-time factor in words."""
    if not factors:
        return "no audio"
    split = ", ".join(f"{name} {value:.4f}" for name, value in factors.items() if name != "all")
    return f"real-time factor {factors['all']:.3f}{f' ({split})' if split else ''}"


def part_path(out: Path, job: int, num_jobs: int) -> Path:
    """Name a job's part."""
    return out / "parts" / f"{job}-of-{num_jobs}.jsonl"


def aid_lines(stats: dict[str, Any]) -> list[str]:
    """Say in words what drafts have saved and what hot words have done, where there were any."""
    lines = []
    if draft := stats["draft"]:
        lines.append(f"drafts: {draft['passes']} forward passes of the LLM instead of {draft['without']}")
    if hot := stats["hot_words"]:
        lines.append(
            f"hot words: {hot['found']} of {hot['spoken']} found, leaked into {hot['leaked']} of {hot['utterances']} utterances"
            f" ({100 * hot['leak_rate']:.2f} %)" + (f", {hot['written']} written into prompts" if "written" in hot else "")
        )
    return lines


def merge(
    out: Path, ids: list[str], num_jobs: int, header: dict[str, Any], count: Callable[..., dict[str, float]] | None = None
) -> dict[str, Any]:
    """Put the parts of all jobs together, every utterance exactly once.

    Writes `text`, `score` (of the best hypothesis; -inf where there is none), `nbest.jsonl`, `stats.json`, and `ctm`
    where the times of words were asked for. count: from answers (id -> text) to what hot words have done.

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
    rows = [entries[utt] for utt in ids]
    texts = {row["id"]: row["nbest"][0]["text"] if row["nbest"] else "" for row in rows}
    audio, spent = (sum(row[key] for row in rows) for key in ("seconds", "spent"))
    stats = {
        "utterances": len(ids),
        "audio_seconds": round(audio, 3),
        "decode_seconds": round(spent, 3),
        "real_time_factor": speeds(rows),
        "jobs": num_jobs,
        "ctc_doubts": doubts(rows),
        "draft": draft_passes(rows),
        "hot_words": {**(count(texts) if count else {}), **written(rows)},
        "untimed": sum(isinstance(row.get("times"), str) for row in rows),
        **header,
    }
    # What an earlier decoding into this folder left would belong to another model or other options.
    (out / "ctm").unlink(missing_ok=True)
    if any("times" in row for row in rows):
        write_ctm(out / "ctm", ((row["id"], row.get("times", [])) for row in rows))
    scores = {row["id"]: f"{row['nbest'][0]['score']:.6f}" if row["nbest"] else "-inf" for row in rows}
    write_table(out / "score", scores)
    with atomic_open(out / "stats.json") as file:
        json.dump(stats, file, ensure_ascii=False, indent=2)
        file.write("\n")
    write_table(out / "text", texts)
    return stats
