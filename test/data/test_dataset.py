"""The data set: what it selects, what it reads, and that (seed, utterance, epoch) fixes it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.data.dataset import SpeechDataset
from speechlm.features.augment import Augmenter
from speechlm.features.cmvn import CmvnStats
from speechlm.io.tables import read_table, write_table
from test.data.corpus import FBANK, SECONDS, make, samples


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "data")


def test_features_texts_and_targets(folder: Path) -> None:
    data = SpeechDataset(
        folder, language="en", encode_target=letters, encode_answer=lambda text: [*letters(text), 0], min_seconds=0.1
    )
    assert data.ids == ["a-1", "a-2", "b-2"]
    example = data[1]
    assert example.id == "a-2" and example.text == "hello world" and example.speaker == "a" and example.seconds == 1.0
    assert example.targets == letters("hello world") and example.answer == [*letters("hello world"), 0]
    assert np.allclose(example.speech, FBANK(samples("a-2")), atol=1e-4)
    assert example.speech.dtype == np.float32
    assert data.sizes.tolist() == [0.5, 1.0, 2.0]


def test_what_is_left_out_is_counted_and_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = SpeechDataset(folder, min_seconds=0.1, max_seconds=1.5)
    assert data.selection.skipped == {
        "without text": ["b-1"], "longer than 1.5 s": ["b-2"], "shorter than 0.1 s": ["b-3"],
    }  # fmt: skip
    for piece in ("2 utterances", "1 without text (b-1)", "1 longer than 1.5 s (b-2)", "1 shorter than 0.1 s (b-3)"):
        assert piece in caplog.text


def test_empty_text_where_allowed(folder: Path) -> None:
    data = SpeechDataset(folder, allow_empty=True, encode_target=letters)
    example = data[data.ids.index("b-1")]
    assert example.text == "" and example.targets == []


def test_without_text_file_only_for_decoding(folder: Path) -> None:
    (folder / "text").unlink()
    with pytest.raises(UserError, match="0 utterances"):
        SpeechDataset(folder)
    assert len(SpeechDataset(folder, allow_empty=True)) == 5


def test_missing_features_are_told(folder: Path) -> None:
    rows = read_table(folder / "feats.scp")
    del rows["a-2"]
    write_table(folder / "feats.scp", rows)
    assert SpeechDataset(folder).selection.skipped["without features"] == ["a-2"]
    (folder / "feats.scp").unlink()
    with pytest.raises(UserError, match="stage 1"):
        SpeechDataset(folder)


def test_duration_from_frames_and_from_audio(folder: Path) -> None:
    (folder / "utt2dur").unlink()
    assert np.allclose(SpeechDataset(folder, allow_empty=True).sizes, list(SECONDS.values()), atol=1e-3)
    write_table(folder / "utt2num_frames", dict.fromkeys(SECONDS, "48"))
    assert SpeechDataset(folder, allow_empty=True).sizes.tolist() == pytest.approx([0.48] * 5)


def test_cmvn_of_set_speaker_and_utterance(folder: Path) -> None:
    plain = SpeechDataset(folder)
    stats = CmvnStats(20)
    for example in (plain[0], plain[1]):
        stats.accumulate(example.speech)
    both = SpeechDataset(folder, cmvn=stats)
    joined = np.concatenate([both[0].speech, both[1].speech])
    assert np.allclose(joined.mean(0), 0, atol=1e-3) and np.allclose(joined.std(0), 1, atol=1e-3)
    single = SpeechDataset(folder, cmvn="utterance")[0].speech
    assert np.allclose(single.mean(0), 0, atol=1e-3) and np.allclose(single.std(0), 1, atol=1e-3)
    speakers = SpeechDataset(folder, cmvn={"a": stats})
    assert np.array_equal(speakers[0].speech, both[0].speech)
    with pytest.raises(UserError, match="speaker 'b'"):
        speakers[speakers.ids.index("b-2")]


def test_features_from_audio_follow_the_stored_ones(folder: Path) -> None:
    stored, computed = SpeechDataset(folder), SpeechDataset(folder, fbank=FBANK)
    assert np.allclose(stored[0].speech, computed[0].speech, atol=0.05)  # the wav file has 16 bits
    assert computed[0].seconds == pytest.approx(0.5)


def test_speed_changes_frames_and_seconds(folder: Path) -> None:
    slow = SpeechDataset(folder, fbank=FBANK, augmenter=Augmenter(speed=[0.5]))[0]
    assert slow.seconds == pytest.approx(1.0, abs=0.01)
    assert slow.speech.shape[0] == pytest.approx(98, abs=1)


def test_changed_audio_needs_features_from_audio(folder: Path) -> None:
    with pytest.raises(UserError, match="from_audio"):
        SpeechDataset(folder, augmenter=Augmenter(speed=[0.9, 1.1]))


def test_waves(folder: Path) -> None:
    data = SpeechDataset(folder, source="wave", rate=8000)
    example = data[0]
    assert example.speech.shape == (4000,) and example.seconds == 0.5
    assert np.allclose(SpeechDataset(folder, source="wave")[0].speech, samples("a-1"), atol=1e-4)


def test_units_and_no_speech(folder: Path) -> None:
    units = SpeechDataset(folder, source="pinyin", encode_source=letters, text_seconds=0.5)
    assert units[0].speech.tolist() == letters("Hello") and units[0].speech.dtype == np.int64
    assert units[0].seconds == 0.0 and units.sizes[0] == 2.5
    none = SpeechDataset(folder, source="none", text_seconds=0.5)
    assert none[0].speech.shape == (0,) and none.sizes[0] == 2.5
    with pytest.raises(ValueError, match="encode_source"):
        SpeechDataset(folder, source="pinyin")


@pytest.mark.parametrize("source", ["feats", "wave"])
def test_seed_utterance_and_epoch_fix_the_example(folder: Path, source: str) -> None:
    def read(seed: int, epoch: int, index: int = 1) -> np.ndarray:
        augmenter = Augmenter(speed=[0.8, 0.9, 1.0, 1.1, 1.2])
        fbank = FBANK if source == "feats" else None
        data = SpeechDataset(folder, source=source, fbank=fbank, augmenter=augmenter, seed=seed)  # type: ignore[arg-type]
        data.set_epoch(epoch)
        assert np.array_equal(data[index].speech, data.read(index, epoch).speech)
        return data[index].speech

    assert np.array_equal(read(1, 2), read(1, 2))
    assert len({read(1, epoch).tobytes() for epoch in range(8)}) > 1
    assert len({read(seed, 0).tobytes() for seed in range(8)}) > 1


def test_memory_keeps_up_to_its_limit(folder: Path) -> None:
    sizes = {utt: FBANK(samples(utt)).nbytes for utt in SECONDS}
    limit = (sizes["a-1"] + sizes["a-2"]) / (1 << 30)
    data = SpeechDataset(folder, keep_in_memory=limit)
    first = data[0].speech
    data.preload()
    (folder / "feats.ark").unlink()
    assert np.array_equal(data[0].speech, first) and len(data[1].speech)
    with pytest.raises(UserError, match=r"feats\.ark"):
        data[data.ids.index("b-2")]


@pytest.mark.parametrize("source", ["feats", "wave"])
def test_memory_cannot_be_spoilt(folder: Path, source: str) -> None:
    data = SpeechDataset(folder, source=source, keep_in_memory=1.0)  # type: ignore[arg-type]
    before = data[0].speech.copy()
    data = SpeechDataset(folder, source=source, keep_in_memory=1.0)  # type: ignore[arg-type]
    data[0].speech[:] = 7.0  # what is read first is the reader's own
    assert np.array_equal(data[0].speech, before)
    with pytest.raises(ValueError, match="read-only"):
        data[0].speech[:] = 7.0
    augmented = SpeechDataset(folder, keep_in_memory=1.0, augmenter=Augmenter(freq_masks=2, freq_width=10))
    assert {augmented.read(0, epoch).speech.tobytes() for epoch in (0, 1)} != {augmented.read(0, 0).speech.tobytes()}
    assert np.array_equal(augmented.read(0, 0).speech, augmented.read(0, 0).speech)
