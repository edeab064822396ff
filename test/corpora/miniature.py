"""Tiny corpora in the real layouts of their publishers: real ids and texts, audio of a fraction of a second."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile

SECONDS = 0.2


def sound(path: Path, *, rate: int = 16000, seconds: float = SECONDS, channels: int = 1) -> Path:
    """Write a quiet tone; the name's ending chooses the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.1 * np.sin(np.arange(round(rate * seconds)) * 0.1)
    kind = {".sph": "NIST", ".flac": "FLAC", ".mp3": "MP3"}.get(path.suffix, "WAV")
    with open(path, "wb") as file:
        soundfile.write(file, np.repeat(tone[:, None], channels, axis=1), rate, format=kind)
    return path


def write(path: Path, *lines: str) -> Path:
    """Write lines of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def pack(folder: Path, archive: Path, top: str) -> bytes:
    """Put a folder into a tar.gz under the name `top`."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as opened:
        opened.add(folder, arcname=top)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(content.getvalue())
    return content.getvalue()


AISHELL = {
    "train": {"S0002": {"BAC009S0002W0122": "而 对 楼市 成交 抑制 作用 最 大 的 限 购", "BAC009S0002W0124": ""}},
    "dev": {"S0724": {"BAC009S0724W0121": "广州市 房地产 中介 协会 分析"}},
    "test": {
        "S0764": {"BAC009S0764W0121": "甚至 出现 交易 几乎 停滞 的 情况", "BAC009S0764W0122": "蔡卓妍 穿着 黑色 Ｔ 恤"},
        "S0765": {"BAC009S0765W0123": "一二线 城市 虽然 也 处于 调整 中"},
    },
}


def aishell(folder: Path, *, packed: bool = False) -> Path:
    """Make `data_aishell` as OpenSLR 33 has it; packed: every speaker in an archive of his own."""
    root = folder / "data_aishell"
    lines = [
        f"{utt} {text}"
        for speakers in AISHELL.values()
        for utts in speakers.values()
        for utt, text in utts.items()
        if text
    ]
    write(root / "transcript" / "aishell_transcript_v0.8.txt", *lines)
    for split, speakers in AISHELL.items():
        for speaker, utts in speakers.items():
            place = folder / "unpacked" / split / speaker if packed else root / "wav" / split / speaker
            for utt in utts:
                sound(place / f"{utt}.wav")
            if packed:
                pack(place, root / "wav" / f"{speaker}.tar.gz", f"{split}/{speaker}")
    return folder


LIBRISPEECH = {
    "train-clean-100": {"19-198": ["NORTHANGER ABBEY", "THIS LITTLE WORK WAS FINISHED IN THE YEAR EIGHTEEN O THREE"]},
    "dev-clean": {"1272-128104": ["MISTER QUILTER IS THE APOSTLE OF THE MIDDLE CLASSES"]},
    "dev-other": {"116-288045": ["AS I APPROACHED THE CITY I HEARD BELLS RINGING"]},
    "test-clean": {"1089-134686": ["HE HOPED THERE WOULD BE STEW FOR DINNER", "STUFF IT INTO YOU"]},
    "test-other": {"1688-142285": ["THERE'S IRON THEY SAY IN ALL OUR BLOOD"]},
}


def librispeech(folder: Path) -> Path:
    """Make `LibriSpeech` as OpenSLR 12 has it."""
    root = folder / "LibriSpeech"
    speakers = [
        "; Some pipe(|) separated metadata about all LibriVox readers",
        ";ID  |SEX| SUBSET           |MINUTES| NAME",
    ]
    for subset, chapters in LIBRISPEECH.items():
        for chapter, texts in chapters.items():
            reader, number = chapter.split("-")
            speakers.append(f"{reader:<4} | F | {subset:<16} | 25.03 | Some One")
            place = root / subset / reader / number
            utts = [f"{chapter}-{i:04d}" for i in range(len(texts))]
            write(place / f"{chapter}.trans.txt", *(f"{u} {t}" for u, t in zip(utts, texts, strict=True)))
            for utt in utts:
                sound(place / f"{utt}.flac")
    write(root / "SPEAKERS.TXT", *speakers)
    return folder


def speechocean(folder: Path) -> Path:
    """Make the tree of OpenSLR 101: sixteen speakers to train on, two to test."""
    speakers = {"train": [f"{i:04d}" for i in range(1, 17)], "test": ["0023", "0030"]}
    for split, names in speakers.items():
        utts = [(name, f"{name}0{i:04d}") for name in names for i in (11, 35)]
        write(folder / split / "wav.scp", *(f"{utt}\tWAVE/SPEAKER{name}/{utt}.WAV" for name, utt in utts))
        write(folder / split / "text", *(f"{utt}\tWE CALL IT BEAR" for _, utt in utts))
        write(folder / split / "utt2spk", *(f"{utt} {name}" for name, utt in utts))
        write(folder / split / "spk2age", *(f"{name} 6" for name in names))
        for name, utt in utts:
            sound(folder / "WAVE" / f"SPEAKER{name}" / f"{utt}.WAV")
    write(folder / "resource" / "scores.json", "{}")
    return folder


def tedlium(folder: Path) -> Path:
    """Make `TEDLIUM_release-3` as OpenSLR 51 has it: the training talks are links to `data`."""
    root = folder / "TEDLIUM_release-3"
    talks = {"data": "AaronHuey_2010X", "legacy/dev": "BlaiseAguerayArcas_2007", "legacy/test": "AimeeMullins_2009P"}
    for place, talk in talks.items():
        sound(root / place / "sph" / f"{talk}.sph", seconds=3.0)
        write(
            root / place / "stm" / f"{talk}.stm",
            f"{talk} 1 {talk} 0 0.40 <o,f0,unknown> ignore_time_segment_in_scoring",
            f"{talk} 1 {talk} 0.40 1.55 <o,f0,male> i 'm here today {{NOISE}} to show(2) my <unk>",
            f"{talk} 1 {talk} 1.55 2.9 <o,f0,male> photographs of the lakota",
        )
    (root / "legacy" / "train").mkdir()
    for kind in ("sph", "stm"):
        (root / "legacy" / "train" / kind).symlink_to(Path("../../data") / kind)
    return folder


def commonvoice(folder: Path) -> Path:
    """Make a language of Common Voice: tables with the columns of version 17, clips in MP3."""
    root = folder / "zh-TW"
    columns = (
        "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale"
    )
    speakers = {"train": "a" * 128, "dev": "b" * 128, "test": "c" * 128}
    for split, speaker in speakers.items():
        rows = [
            f"{speaker}\tcommon_voice_zh-TW_1737783{i}.mp3\t{i}\t{text}\t\t2\t0\ttwenties\tmale_masculine\t\t\tzh-TW"
            for i, text in enumerate(["我們特別回鄉下", '"是歷史上的第二次', "", "簡單來說"])
        ]
        write(root / f"{split}.tsv", columns.replace(" ", "\t"), *rows)
    for i in range(3):
        sound(root / "clips" / f"common_voice_zh-TW_1737783{i}.mp3", rate=32000, seconds=0.5)
    return folder


def jsut(folder: Path) -> Path:
    """Make `jsut_ver1.1` with two of its parts."""
    root = folder / "jsut_ver1.1"
    write(
        root / "basic5000/transcript_utf8.txt",
        "BASIC5000_0001:水をマレーシアから買わなくてはならないのです。",
        "BASIC5000_0002:木曜日。",
    )
    write(root / "travel1000/transcript_utf8.txt", "TRAVEL1000_0001:あなたの荷物は、まだ見つかりません。")
    for name in ("basic5000/wav/BASIC5000_0001", "travel1000/wav/TRAVEL1000_0001"):
        sound(root / f"{name}.wav", rate=48000)
    return folder


def musan(folder: Path) -> Path:
    """Make `musan` with a file of every kind."""
    for name in (
        "noise/free-sound/noise-free-sound-0000",
        "music/fma/music-fma-0000",
        "speech/librivox/speech-librivox-0000",
    ):
        sound(folder / "musan" / f"{name}.wav")
    write(folder / "musan/noise/free-sound/ANNOTATIONS", "noise-free-sound-0000 X")
    return folder


def fsdd(folder: Path) -> Path:
    """Make the public repository: two speakers, digits 0 and 7, takes 0 to 9."""
    for speaker in ("jackson", "nicolas"):
        for digit in (0, 7):
            for take in range(10):
                sound(folder / "recordings" / f"{digit}_{speaker}_{take}.wav", rate=8000)
    write(folder / "metadata.py", "")
    return folder
