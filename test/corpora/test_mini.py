import hashlib
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.corpora.base import prepare
from speechlm.corpora.mini import MiniCorpus, share_out
from speechlm.corpora.mini_sentences import combinations, fill, sentences, templates, words_of
from speechlm.corpora.mini_voices import VOICES, library, speakers
from speechlm.io.audio import audio_info
from speechlm.io.datadir import DataDir
from speechlm.text.normalize import normalize
from speechlm.text.pinyin import words

SMALL = {"num_train": 10, "num_dev": 3, "num_test": 4}


def make(folder, **options):
    corpus = MiniCorpus(folder / "wav", **{**SMALL, "nj": 2, **options})
    prepare(corpus, corpus.splits, folder / "data")
    return {split: DataDir(folder / "data" / split) for split in corpus.splits}


def sums(folder):
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (folder / "wav").rglob("*.wav")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    pytest.importorskip("espeakng_loader")
    folder = tmp_path_factory.mktemp("mini")
    return folder, make(folder)


def test_splits_share_no_sentence_and_no_voice(made):
    _, data = made
    assert {split: len(one.text) for split, one in data.items()} == {"train": 10, "dev": 3, "test": 4}
    texts = [text for one in data.values() for text in one.text.values()]
    voices = [{speaker.rsplit("p", 1)[0] for speaker in one.spk2utt} for one in data.values()]
    assert len(set(texts)) == len(texts) == 17
    assert len(set().union(*voices)) == sum(map(len, voices)) >= 8


def test_audio_is_16_bit_mono_at_16_khz_and_as_long_as_told(made):
    _, data = made
    for utt in data["test"].ids():
        info = audio_info(data["test"].wav_scp[utt])
        assert (info.rate, info.channels) == (16000, 1)
        assert abs(info.seconds - float(data["test"].utt2dur[utt])) < 1e-3
        samples = data["test"].audio(utt)
        assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.3
        assert 0.12 < info.seconds / len(data["test"].text[utt]) < 0.7


def test_same_bytes_from_the_same_seed_with_any_number_of_processes(made, tmp_path):
    folder, data = made
    again = make(tmp_path, nj=1)
    assert sums(tmp_path) == sums(folder)
    assert again["train"].text == data["train"].text


def test_another_seed_gives_another_corpus(made, tmp_path):
    folder, data = made
    other = make(tmp_path, seed=2)
    assert not set(sums(tmp_path).values()) & set(sums(folder).values())
    assert set(other["train"].text.values()) != set(data["train"].text.values())


def test_few_voices_are_an_option(made, tmp_path):
    few = make(tmp_path, num_voices=2)
    assert len(few["train"].spk2utt) == 2 < len(made[1]["train"].spk2utt)
    assert set(few["train"].text.values()) == set(made[1]["train"].text.values())
    assert few["test"].spk2utt == made[1]["test"].spk2utt


def test_noise_is_an_option(made, tmp_path):
    folder, _ = made
    make(tmp_path, noise=0.0)
    clean, noisy = sums(tmp_path), sums(folder)
    assert 1 <= sum(clean[name] == noisy[name] for name in clean) < len(clean)


def test_text_file(tmp_path, caplog):
    pytest.importorskip("espeakng_loader")
    lines = [
        "英雄在这里。",
        "今天，天气很好",
        "我有WIFI",
        "今天天气很好",
        "",
        "一",
        "二",
        "三",
        "四",
        "五",
        "六",
        "七",
        "八",
    ]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    caplog.set_level("INFO", logger="speechlm")
    data = make(tmp_path, text_file=str(tmp_path / "lines.txt"))
    held_out = [*data["dev"].text.values(), *data["test"].text.values()]
    trained = list(data["train"].text.values())
    said = {normalize(line, "zh") for line in lines} - {"", "我有WIFI"}
    assert len(set(held_out)) == len(held_out) == 7
    assert set(held_out) | set(trained) == said
    assert not set(held_out) & set(trained)
    assert max(Counter(trained).values()) == 4  # 3 sentences left for 10 utterances
    assert "1 of 11 lines left out" in caplog.text


def test_sound_of_other_languages(tmp_path):
    pytest.importorskip("espeakng_loader")
    (tmp_path / "lines.txt").write_text("\n".join(f"{word} house" for word in "abcdefghi"))
    data = make(tmp_path, text_file=str(tmp_path / "lines.txt"), language="en", num_train=1)
    assert data["train"].text.popitem()[1].endswith(" house")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_dev": 0}, "each must be at least 1"),
        ({"noise": 2.0}, "noise 2.0: must be a share"),
        ({"num_voices": -1}, "num_voices -1: must be 0"),
        ({"language": "en"}, "the built-in sentences are zh"),
        ({"text_file": "/nowhere"}, "/nowhere: no such text file"),
        ({"num_train": 10**9}, "the built-in templates make 20[0-9]+ sentences, not"),
    ],
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        MiniCorpus(tmp_path, **{**SMALL, **options}).plan()


def test_missing_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    library.cache_clear()
    corpus = MiniCorpus(tmp_path, **SMALL)
    with pytest.raises(
        UserError, match="synthesis needs espeakng-loader; install it with: pip install 'speechlm.mini.'"
    ):
        list(corpus.utterances("dev"))
    assert list(tmp_path.iterdir()) == []


def test_too_few_lines_to_test_on(tmp_path):
    with pytest.raises(UserError, match="5 sentences are too few for 7 to test on"):
        share_out(list("abcde"), {"train": 1, "dev": 3, "test": 4})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, min_size=8, max_size=60), st.integers(1, 60))
def test_share_out(pool, num_train):
    given_counts = {"train": num_train, "dev": 3, "test": 4}
    shared = share_out(pool, given_counts)
    assert {split: len(lines) for split, lines in shared.items()} == given_counts
    held_out = shared["dev"] + shared["test"]
    assert len(set(held_out)) == 7
    assert not set(held_out) & set(shared["train"])
    if num_train >= 13 and len(pool) >= 20:
        assert set("".join(held_out)) <= set("".join(shared["train"]))


def test_default_plan_tests_only_characters_that_were_heard(tmp_path):
    plan = MiniCorpus(tmp_path).plan()
    heard = set("".join(plan["train"]))
    assert set("".join(plan["dev"] + plan["test"])) <= heard
    assert 380 <= len(heard) <= 450


def test_a_larger_training_set_keeps_the_test_set(tmp_path):
    small, large = (MiniCorpus(tmp_path, num_train=number).plan() for number in (1800, 3000))
    assert small["test"] == large["test"]


def test_sentences():
    made = sentences(4000, seed=1)
    assert made == sentences(4000, seed=1)
    assert len(set(made)) == 4000
    assert made[:100] == sentences(100, seed=1)
    assert set(made) != set(sentences(4000, seed=2))
    assert all(normalize(sentence, "zh") == sentence for sentence in made)
    lengths = [len(sentence) for sentence in made]
    assert min(lengths) >= 5
    assert max(lengths) <= 15
    assert sum(map(combinations, templates())) > 30_000


def test_sentences_are_rich_in_homophones():
    """At least 100 characters share their syllable and tone with another one of the corpus."""
    sound = {}
    for sentence in sentences(4000, seed=1):
        for word in words(sentence):
            for character, reading in zip(word.text, word.readings, strict=True):
                sound.setdefault(reading, set()).add(character)
    assert {"他", "她", "它"} <= sound["ta1"]
    assert {"在", "再"} <= sound["zai4"]
    assert {"做", "坐", "作", "座"} <= sound["zuo4"]
    assert {"的", "地", "得"} <= sound["de5"]
    assert len(set().union(*(group for group in sound.values() if len(group) > 1))) > 100


def test_templates_use_known_slots_and_every_slot_is_used():
    import random
    import re

    from speechlm.corpora.mini_sentences import WORDS

    slots = set(re.findall(r"\{(\w+)\}", " ".join(templates())))
    assert slots == set(WORDS)
    assert all(len(words_of(slot)) == len(set(words_of(slot))) for slot in slots)
    assert len(templates()) == len(set(templates()))
    twice = fill("{near}到{near}", random.Random(1)).split("到")
    assert twice[0] != twice[1]


def test_speakers_are_disjoint_and_fixed_by_the_seed():
    names = {split: {speaker.id for speaker in speakers(split, 1)} for split in VOICES}
    assert [len(names[split]) for split in ("train", "dev", "test")] == [129, 4, 8]
    assert speakers("dev", 1) == speakers("dev", 1) != speakers("dev", 2)
    assert not names["train"] & names["test"]
    assert not any(one != other and one.startswith(other) for one in names["train"] for other in names["train"])
