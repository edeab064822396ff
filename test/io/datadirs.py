"""A small sound data directory for tests, with and without segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from speechlm.io.archive import ArkWriter
from speechlm.io.tables import write_table

RATE = 8000


def tone(seconds: float, frequency: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def make_dir(folder: Path, *, segments: bool = False, feats: bool = False) -> Path:
    """Four utterances of two speakers, of 0.5, 0.6, 0.7 and 0.8 s; with segments they are parts of two recordings."""
    folder.mkdir(parents=True)
    ids = ["a-1", "a-2", "b-1", "b-2"]
    seconds = {utt: 0.5 + 0.1 * i for i, utt in enumerate(ids)}
    write_table(folder / "utt2spk", {utt: utt[0] for utt in ids})
    write_table(folder / "spk2utt", {"a": "a-1 a-2", "b": "b-1 b-2"})
    write_table(folder / "text", {utt: f"words of {utt}" for utt in ids})
    write_table(folder / "utt2dur", {utt: f"{seconds[utt]:.3f}" for utt in ids})
    waves = {utt: tone(seconds[utt], 300 + 100 * i) for i, utt in enumerate(ids)}
    if segments:
        waves = {f"rec-{s}": np.concatenate([waves[f"{s}-1"], waves[f"{s}-2"]]) for s in "ab"}
        rows = {}
        for utt in ids:
            start = 0.0 if utt.endswith("1") else seconds[f"{utt[0]}-1"]
            rows[utt] = f"rec-{utt[0]} {start:.2f} {start + seconds[utt]:.2f}"
        write_table(folder / "segments", rows)
    for name, wave in waves.items():
        soundfile.write(folder / f"{name}.wav", wave, RATE, subtype="PCM_16")
    write_table(folder / "wav.scp", {name: str(folder / f"{name}.wav") for name in waves})
    if feats:
        with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
            for utt in ids:
                writer.write(utt, np.full((10, 3), seconds[utt], dtype=np.float32))
        write_table(folder / "utt2num_frames", dict.fromkeys(ids, "10"))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    data = path.read_bytes()
    assert old.encode() in data, f"{path} has no {old!r}"
    path.write_bytes(data.replace(old.encode(), new.encode()))
