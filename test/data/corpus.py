"""A small data directory with real files: sine waves, features, tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speechlm.features.fbank import Fbank
from speechlm.io.archive import ArkWriter
from speechlm.io.audio import write_wav
from speechlm.io.tables import write_table

RATE = 16000
SECONDS = {"a-1": 0.5, "a-2": 1.0, "b-1": 0.7, "b-2": 2.0, "b-3": 0.05}
TEXTS = {"a-1": "Hello", "a-2": "hello, World", "b-1": "", "b-2": "good day", "b-3": "x"}
FBANK = Fbank(num_mels=20)


def samples(utt: str) -> np.ndarray:
    """A tone of its own with some noise."""
    random = np.random.default_rng(sum(utt.encode()))
    time = np.arange(int(SECONDS[utt] * RATE)) / RATE
    tone = np.sin(2 * np.pi * random.uniform(200, 2000) * time)
    return (0.3 * tone + 0.05 * random.standard_normal(len(time))).astype(np.float32)


def make(folder: Path, *, feats: bool = True) -> Path:
    """Write the directory with all its tables; give its path."""
    folder.mkdir(parents=True)
    for utt in SECONDS:
        write_wav(folder / f"{utt}.wav", samples(utt), RATE)
    write_table(folder / "wav.scp", {utt: str(folder / f"{utt}.wav") for utt in SECONDS})
    write_table(folder / "text", TEXTS)
    write_table(folder / "utt2spk", {utt: utt[0] for utt in SECONDS})
    write_table(folder / "utt2dur", {utt: str(seconds) for utt, seconds in SECONDS.items()})
    if feats:
        with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
            for utt in sorted(SECONDS):
                writer.write(utt, FBANK(samples(utt)))
    return folder
