"""Texts from disk: the same sentences, examples and batches as from memory, in a fraction of it."""

from __future__ import annotations

import logging
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.data.dataset import SpeechDataset
from speechlm.data.loader import Loader
from speechlm.data.mix import MixedDataset
from speechlm.data.sampler import DurationSampler
from speechlm.data.select import Limits, select
from speechlm.data.texts import Lines, TextSelection
from speechlm.io.datadir import DataDir
from speechlm.io.tables import write_table
from speechlm.text.normalize import normalize

WORDS = ["今天", "天气", "很好", "我们", "去", "公园", "散步", "然后", "吃饭", "，", "你好", "a", "B", "12"]


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def directory(place: Path, *, sentences: int = 60, speakers: int = 3) -> Path:
    """Sentences with holes: some without words, one id only in utt2spk, one only in text."""
    random = np.random.default_rng(sentences)
    place.mkdir()
    ids = [f"t-{i:04d}" for i in range(sentences)]
    texts = {utt: " ".join(random.choice(WORDS, random.integers(1, 12))) for utt in ids}
    texts |= {ids[3]: "", ids[7]: "，", ids[-1]: " ".join(WORDS)}
    speaker = {utt: f"s{i % speakers}" for i, utt in enumerate(ids)}
    del texts[ids[5]], speaker[ids[9]]
    write_table(place / "text", texts)
    write_table(place / "utt2spk", speaker)
    return place


@pytest.mark.parametrize("allow_empty", [False, True])
@pytest.mark.parametrize("lacking", [None, "utt2spk"])
@pytest.mark.parametrize("language", ["zh", "none"])
def test_the_same_selection_as_in_memory(
    tmp_path: Path, language: str, lacking: str | None, allow_empty: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder = directory(tmp_path / "d")
    if lacking:
        (folder / lacking).unlink()
    limits = Limits(0.1, 30.0, allow_empty)
    with caplog.at_level(logging.INFO):
        before = select(DataDir(folder), "none", language, limits, from_audio=False, allow_pipes=False)  # type: ignore[arg-type]
        now = TextSelection(folder, language, limits)  # type: ignore[arg-type]
    assert list(now.ids) == before.ids and now.skipped == before.skipped and now.line() == before.line()
    assert [record.message for record in caplog.records] == [before.line()] * 2
    every = range(len(before.ids))
    for what in ("text_of", "speaker_of", "seconds_of"):
        assert [getattr(now, what)(i) for i in every] == [getattr(before, what)(i) for i in every], what
    assert now.ids[-1] == before.ids[-1] and now.ids[2:5] == before.ids[2:5]
    with pytest.raises(IndexError):
        now.ids[len(before.ids)]


@pytest.mark.parametrize("source", ["pinyin", "none"])
def test_the_same_batches_as_in_memory(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = directory(tmp_path / "d")

    def batches(workers: int) -> list[tuple]:
        data = SpeechDataset(folder, source=source, language="zh", encode_source=letters, encode_answer=letters,
                             encode_noisy=lambda text, key: letters(text + key[-1]))  # type: ignore[arg-type]  # fmt: skip
        sampler = DurationSampler(data.sizes, batch_seconds=8.0, seed=3)
        found = []
        for _ in range(2):
            for batch in Loader(data, sampler, workers=workers):
                found.append((batch.ids, batch.texts, batch.speech.data.tolist(), batch.seconds.tolist()))
                sampler.advance()
        return found

    streamed = batches(0)
    assert streamed == batches(2), "worker processes map the file themselves"
    # The way it was: everything in memory, by select().
    monkeypatch.setattr("speechlm.data.dataset.TextSelection", lambda folder, language, limits: select(
        DataDir(folder), source, language, limits, from_audio=False, allow_pipes=False))  # fmt: skip
    assert batches(0) == streamed and len(streamed) > 10


def test_ids_of_a_mixture_are_read_one_by_one(tmp_path: Path) -> None:
    parts = [
        SpeechDataset(directory(tmp_path / name, sentences=n), source="none") for name, n in (("a", 20), ("b", 30))
    ]
    mixed = MixedDataset(parts, [None, None])
    assert not isinstance(mixed.ids, list) and list(mixed.ids) == [*parts[0].ids, *parts[1].ids]
    assert [mixed.read(i, 0).id for i in range(len(mixed))] == list(mixed.ids)


@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_line_is_found_by_its_id(tmp_path: Path, ending: str) -> None:
    rows = {f"u{i:03d}{'x' * (i % 7)}": f"value {i}" for i in range(0, 200, 2)}
    path = tmp_path / "table"
    path.write_text("\n".join(f"{key} {value}" for key, value in rows.items()) + ending)
    lines = pickle.loads(pickle.dumps(Lines(path)))  # noqa: S301 - our own
    assert {key: lines.find(key).value for key in rows} == rows
    assert [lines.find(key) for key in ("", "a", "u001", "u0", "u198xxz", "z")] == [None] * 6


@pytest.mark.parametrize(
    ("text", "speakers", "why"),
    [
        ("a x\nc y\nb z\n", None, r"text:3: 'b' after 'c': not sorted"),
        ("a x\na y\n", None, r"text:2: duplicate id 'a' \(first in line 1\)"),
        ("a x\r\n", None, "text:1: Windows line end"),
        ("a x\nb y\nz z\nc z\n", "a s\n", r"text:4: 'c' after 'z'"),
        ("a x\n", "a\n", "utt2spk:1: 'a' has no value"),
        ("a \nb\n", None, "0 utterances, .* left out: 2 without text"),
        ("", None, "0 utterances"),
    ],
)
def test_faults_are_told_as_before(tmp_path: Path, text: str, speakers: str | None, why: str) -> None:
    (tmp_path / "text").write_text(text, newline="")
    if speakers:
        (tmp_path / "utt2spk").write_text(speakers)
    with pytest.raises(UserError, match=why):
        SpeechDataset(tmp_path, source="none")
    with pytest.raises(UserError, match=why):
        select(DataDir(tmp_path), "none", "none", Limits(0.1, 30.0, False), from_audio=False, allow_pipes=False)


def test_three_hundred_thousand_sentences_cost_twenty_bytes_each(tmp_path: Path) -> None:
    """Ten million then cost less than 200 MB; in memory they cost more than a hundred bytes each."""
    count = 300_000
    with open(tmp_path / "text", "w", encoding="utf-8") as texts, open(tmp_path / "utt2spk", "w") as speakers:
        for i in range(count):
            texts.write(f"text-{i:010d} 今天天气很好我们去公园散步{i}\n")
            speakers.write(f"text-{i:010d} text\n")
    tracemalloc.start()
    try:
        data = SpeechDataset(tmp_path, source="none", language="zh")
        assert data.sizes.shape == (count,)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 20 * count and peak < 40 * count, (left / count, peak / count)
    example = data[123_456]
    assert example.id == "text-0000123456" and example.speaker == "text"
    assert example.text == normalize("今天天气很好我们去公园散步123456", "zh")
