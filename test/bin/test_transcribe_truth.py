"""A model that really learns (each letter is a tone): letters across all cuts and their times are those that were played."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from kaldialign import align

from speechlm.bin.main import main
from speechlm.io.audio import write_wav
from speechlm.io.tables import write_table
from test.egs.miniatures import speech

WORDS = ["ab", "cad", "bead", "fed", "dab", "ace", "be", "deaf"]
LETTER = 0.12
Played = list[tuple[str, float, float]]


def play(words: list[str], gap: float, random: np.random.Generator) -> tuple[np.ndarray, Played]:
    """Words of tones with `gap` seconds around them: samples, and (letter, start, end) in seconds."""
    rows, letters, place = [], [], gap
    for word in ["", *words]:
        for number, letter in enumerate(word):
            letters.append((letter, place + number * LETTER, place + (number + 1) * LETTER))
        if word:
            rows.append(speech(word, LETTER))
            place += len(word) * LETTER + gap
        rows.append((1e-3 * random.standard_normal(round(16000 * gap))).astype(np.float32))
    return np.concatenate(rows), letters


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_letters_and_their_times_are_those_that_were_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random, data = np.random.default_rng(0), tmp_path / "data"
    texts, places = {}, {}
    for number in range(40):
        words, utt = list(random.choice(WORDS, 4)), f"u{number:03d}"
        texts[utt], places[utt] = " ".join(words), str(data / f"{utt}.wav")
        write_wav(places[utt], play(words, float(random.uniform(0.15, 0.4)), random)[0], 16000)
    for name, rows in (("wav.scp", places), ("text", texts), ("utt2spk", dict.fromkeys(texts, "u"))):
        write_table(data / name, rows)
    tokens = ["tokens", "--kind", "char", "--language", "en", "--text", f"{data}/text", "--out", f"{tmp_path}/lang"]
    assert main(tokens) == 0
    values = {
        "text": {"language": "en", "tokens": f"{tmp_path}/lang"}, "features": {"num_mels": 40, "cmvn": "utterance"},
        "encoder": {"kind": "conv", "dim": 64}, "head": {"kind": "ctc"}, "decode": {"beam": 1},
        "data": {"train": [str(data)], "batch_seconds": 30, "from_audio": True},
        "optim": {"steps": 120, "lr": 3e-3, "warmup": 10}, "train": {"tensorboard": False},
    }  # fmt: skip
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(values))
    assert main(["train", "--config", f"{tmp_path}/x.yaml", "--out", f"{tmp_path}/exp"]) == 0
    samples, played = play([WORDS[i % len(WORDS)] for i in range(60)], 0.5, random)
    write_wav(tmp_path / "long.wav", samples, 16000)
    capsys.readouterr()
    command = ["transcribe", f"{tmp_path}/exp", f"{tmp_path}/long.wav", "--format", "json", "--max_seconds", "10"]
    assert main([*command, "--decode.times", "char"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["segments"]) >= 6
    heard = [word for one in found["segments"] for word in one["words"]]
    pairs = align([letter for letter, _, _ in played], [word["word"] for word in heard], "*")
    left, right, right_ones = iter(played), iter(heard), 0
    for truth, said in pairs:
        at, word = next(left) if truth != "*" else None, next(right) if said != "*" else None
        if truth == said and at and word:
            right_ones += 1
            assert abs(word["start"] - at[1]) < 0.1 and abs(word["end"] - at[2]) < 0.1, (at, word)
            assert word["confidence"] > 0.3
    assert right_ones >= 0.95 * len(played), f"{right_ones} of {len(played)} letters"
