"""Miniatures of published corpora in their own layouts: a dozen utterances with real ids and texts, each letter a tone."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import soundfile

from test.corpora.miniature import pack, write
from test.paths import ROOT

RATE = 16000
TEXTS = ROOT.parent / "shared" / "data" / "text_corpora"
"""Real transcripts; where they are not there, the sentences below stand in."""

ZH = (
    "广州市房地产中介协会分析", "相比于其他一线城市", "而在股市大幅震荡的环境下", "甚至出现交易几乎停滞的情况",
    "一二线城市虽然也处于调整中", "但因为聚集了过多公共资源", "为了规避三四线城市明显过剩的市场风险", "标杆房企必然调整市场战略",
)  # fmt: skip
EN = (
    "MISTER QUILTER IS THE APOSTLE OF THE MIDDLE CLASSES", "NOR IS MISTER QUILTER'S MANNER LESS INTERESTING",
    "AS I APPROACHED THE CITY", "HE HOPED THERE WOULD BE STEW FOR DINNER", "STUFF IT INTO YOU HIS BELLY COUNSELLED HIM",
    "THERE'S IRON THEY SAY IN ALL OUR BLOOD",
)  # fmt: skip

AISHELL = {"train": {"S0002": 5, "S0003": 4}, "dev": {"S0724": 2}, "test": {"S0764": 2, "S0765": 1}}
LIBRISPEECH = {
    "train-clean-100": {"19-198": 5, "26-495": 4}, "dev-clean": {"1272-128104": 1}, "dev-other": {"116-288045": 1},
    "test-clean": {"1089-134686": 2}, "test-other": {"1688-142285": 1},
}  # fmt: skip


def speech(text: str, seconds: float) -> np.ndarray:
    """A tone of its own for every letter of a text, `seconds` each, over a little noise: (N,) float32."""
    time = np.arange(round(RATE * seconds)) / RATE
    pitches = [300 + zlib.crc32(letter.encode()) % 3000 for letter in text]
    tones = np.concatenate([np.sin(2 * np.pi * pitch * time) * np.hanning(len(time)) for pitch in pitches])
    noise = np.random.default_rng(zlib.crc32(text.encode())).normal(size=len(tones))
    return (0.2 * tones + 0.01 * noise).astype(np.float32)


def record(path: Path, text: str, seconds: float) -> None:
    """Write a text's sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech(text, seconds), RATE, subtype="PCM_16")


def mandarin(split: str, count: int) -> list[tuple[str, str]]:
    """Give `count` (number of the utterance, text): real ones of dev and test, those of other speakers for train."""
    path = TEXTS / "zh" / "aishell1_dev_test_transcripts.tsv"
    if not path.exists():
        return [(f"W0{121 + i}", ZH[i % len(ZH)]) for i in range(count)]
    speaker = {"train": "S0730", "dev": "S0724"}.get(split, split)
    with open(path, encoding="utf-8") as file:
        rows = [line.split("\t")[:2] for line in file if f"BAC009{speaker}" in line]
    return [(utt[-5:], text) for utt, text in rows[:count]]


def aishell(folder: Path) -> Path:
    """Make OpenSLR 33's tree: an archive for each speaker, word boundaries in the transcripts, one of them missing."""
    root, lines = folder / "data_aishell", []
    for split, speakers in AISHELL.items():
        for speaker, count in speakers.items():
            place = folder / "unpacked" / split / speaker
            for number, text in mandarin(speaker if split == "test" else split, count):
                record(place / f"BAC009{speaker}{number}.wav", text, 0.1)
                lines.append(f"BAC009{speaker}{number} {' '.join(text[i : i + 2] for i in range(0, len(text), 2))}")
            if split == "train":
                record(place / f"BAC009{speaker}W0999.wav", "没有", 0.1)
            pack(place, root / "wav" / f"{speaker}.tar.gz", f"{split}/{speaker}")
    write(root / "transcript" / "aishell_transcript_v0.8.txt", *lines)
    return folder


def english() -> list[str]:
    """Give short real transcripts of dev-clean."""
    path = TEXTS / "en" / "librispeech_dev_clean_transcripts.txt"
    if not path.exists():
        return list(EN)
    with open(path, encoding="utf-8") as file:
        texts = [line.strip().partition(" ")[2] for line in file]
    return [text for text in texts if 20 < len(text) < 60]


def librispeech(folder: Path) -> Path:
    """Make OpenSLR 12's tree: chapters of flac files with their transcripts, and SPEAKERS.TXT."""
    root, texts = folder / "LibriSpeech", english()
    table = TEXTS / "en" / "librispeech_SPEAKERS.TXT"
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else ["; ID | SEX | SUBSET | MINUTES | NAME"]
    known = {line.split("|")[0].strip() for line in lines if not line.startswith(";")}
    spoken = 0
    for subset, chapters in LIBRISPEECH.items():
        for chapter, count in chapters.items():
            reader, number = chapter.split("-")
            if reader not in known:
                lines.append(f"{reader:<4} | F | {subset:<16} | 25.03 | Some One")
            place, rows = root / subset / reader / number, []
            for index in range(count):
                text = texts[spoken % len(texts)]
                spoken += 1
                record(place / f"{chapter}-{index:04d}.flac", text, 0.06)
                rows.append(f"{chapter}-{index:04d} {text}")
            write(place / f"{chapter}.trans.txt", *rows)
    write(root / "SPEAKERS.TXT", *lines)
    return folder
