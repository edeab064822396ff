"""A small experiment, scored: what the report's tests look at."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import soundfile

from speechlm.scoring.score import Settings, score, summary, write_summary

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs", "far", "away", "from", "here"]


def metrics_rows(steps: int = 200) -> list[dict]:
    rows: list[dict] = []
    for step in range(10, steps + 1, 10):
        loss = 5 * math.exp(-step / 80) + 0.5
        rows.append({"kind": "train", "step": step, "epoch": 0, "loss": loss, "loss_lm": loss / 2, "loss_ctc": loss, "lr": 1e-3,
                     "gradient_norm": 1.5, "audio_per_second": 100.0, "skipped": 0})  # fmt: skip
        if step % 50 == 0:
            rows.append({"kind": "valid", "step": step, "loss": loss + 0.1, "error": 80 * math.exp(-step / 100) + 5})
    rows.append({"kind": "final", "step": steps, "error": 9.0})
    return rows


def write_metrics(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_audio(path: Path, seconds: float, pitch: float) -> None:
    """Write a voice-like tone: harmonics that rise and fall."""
    time = np.arange(int(16000 * seconds)) / 16000
    tone = sum(np.sin(2 * np.pi * pitch * number * time + 3 * np.sin(2 * time)) / number for number in range(1, 9))
    soundfile.write(path, (0.1 * tone * np.hanning(len(time))).astype(np.float32), 16000)


def make_data(folder: Path, number: int, audio: int = 4) -> Path:
    """Write a Kaldi data directory of `number` utterances; the first `audio` of them have a recording."""
    folder.mkdir(parents=True)
    ids = [f"s{place % 5}-u{place:05d}" for place in range(number)]
    texts = [" ".join(WORDS[(place * 3 + step) % len(WORDS)] for step in range(3 + place % 6)) for place in range(number)]
    rows = sorted(zip(ids, texts))
    (folder / "text").write_text("".join(f"{utt} {text}\n" for utt, text in rows))
    (folder / "utt2spk").write_text("".join(f"{utt} {utt[:2]}\n" for utt, _ in rows))
    (folder / "utt2dur").write_text("".join(f"{utt} 0.50\n" for utt, _ in rows))
    for place, (utt, _) in enumerate(rows[:audio]):
        make_audio(folder / f"{utt}.wav", 0.5, 110 + 30 * place)
    (folder / "wav.scp").write_text("".join(f"{utt} {folder / utt}.wav\n" for utt, _ in rows))
    return folder


def hypothesis(place: int, words: list[str]) -> list[str]:
    """Make errors by the number of the utterance: the first ones are the worst and have audio."""
    if place == 0:
        return [*words, *["again"] * 30]
    if place == 1:
        return []
    if place == 2:
        return ["i'm", "sorry", "but", "i", "can't", "transcribe"]
    if place % 4 == 0:
        return words[1:]
    if place % 7 == 0:
        return [*words[:-1], "<b>", "cat"]
    return words


def score_folder(data: Path, out: Path, errors=hypothesis, **settings) -> Path:
    """Write hypotheses and score them as `speechlm score` does."""
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for place, line in enumerate((data / "text").read_text().splitlines()):
        utt, *words = line.split()
        lines.append(f"{utt} {' '.join(errors(place, words))}\n")
    (out / "text").write_text("".join(lines))
    chosen = Settings(sclite="never", utt2dur=data / "utt2dur", **settings)
    found = score(data / "text", out / "text", out, data / "utt2spk", chosen)
    paths = {"ref": str(data / "text"), "hyp": str(out / "text"), "utt2spk": str(data / "utt2spk")}
    write_summary(out / "scoring.json", summary(found, chosen, {"set": data.name, **paths, "commit": "0123456789"}))
    return out


def make_experiment(folder: Path, number: int = 40, audio: int = 4, name: str = "x") -> Path:
    """Make exp/NAME with curves, a card, and one scored decode folder."""
    data = make_data(folder / "data/test", number, audio)
    exp = folder / "exp" / name
    write_metrics(exp / "metrics.jsonl", metrics_rows())
    (exp / "model.json").write_text(json.dumps({"trained": 1000, "total": 25000}))
    (exp / "command.txt").write_text("speechlm train --config conf/x.yaml --out exp/x\n")
    train = folder / "data/train"
    train.mkdir()
    (train / "utt2dur").write_text("a 1800\nb 1800\n")
    (exp / "options.yaml").write_text(f"data:\n  train: [{train}]\n")
    out = score_folder(data, exp / "decode_test")
    stats = {"audio_seconds": 20.0, "decode_seconds": 5.0, "options": {"kind": "llm", "beam": 4, "length_penalty": 0.5}}
    (out / "stats.json").write_text(json.dumps(stats))
    return exp
