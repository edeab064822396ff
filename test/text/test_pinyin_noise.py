import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.text.pinyin import all_readings
from speechlm.text.pinyin_noise import PinyinNoise, confusions, drop_tone, swap_initial, swap_liquid, swap_nasal
from speechlm.text.pinyin_tokens import PinyinTokenizer

READINGS = sorted(all_readings())
SENTENCE = ["zhong1", "shan1", "lan2", "nan2", "xin1", "A", "", "si4"]


def test_changes():
    def all_of(change, line):
        return " ".join(map(change, line.split()))

    assert all_of(swap_initial, "zhong1 chi2 shi4 zi5 cai4 san1 ma1 a1") == "zong1 ci2 si4 zhi5 chai4 shan1 ma1 a1"
    assert all_of(swap_nasal, "shan1 shang1 xin1 xing1 zhen1 ma1 yong4") == "shang1 shan1 xing1 xin1 zheng1 ma1 yong4"
    assert all_of(swap_liquid, "lan2 nan2 an1") == "nan2 lan2 an1"
    assert drop_tone("ma3") == "ma5"


def test_no_noise_changes_nothing_and_certain_noise_everything_that_exists():
    known = all_readings().__contains__
    assert PinyinNoise().apply(SENTENCE, "u", known) == SENTENCE
    assert PinyinNoise(tone=1.0).apply(SENTENCE, "u", known) == [
        "zhong5",
        "shan5",
        "lan5",
        "nan5",
        "xin5",
        "A",
        "",
        "si5",
    ]
    assert PinyinNoise(initial=1.0).apply(SENTENCE, "u", known)[:2] == ["zong1", "san1"]
    assert PinyinNoise(nasal=1.0).apply(SENTENCE, "u", known)[4] == "xing1"
    assert PinyinNoise(liquid=1.0).apply(SENTENCE, "u", known)[2:4] == ["nan2", "lan2"]
    assert PinyinNoise(1.0, 1.0, 1.0, 1.0).apply(SENTENCE, "u", lambda reading: False) == SENTENCE


def test_same_seed_and_key_same_noise():
    noise = PinyinNoise(0.3, 0.3, 0.3, 0.3, seed=5)
    line = READINGS[:400]
    known = all_readings().__contains__
    assert noise.apply(line, "utt1 epoch2", known) == noise.apply(line, "utt1 epoch2", known)
    assert noise.apply(line, "utt1 epoch2", known) != noise.apply(line, "utt1 epoch3", known)
    assert noise.apply(line, "k", known) != PinyinNoise(0.3, 0.3, 0.3, 0.3, seed=6).apply(line, "k", known)


def test_rates_are_what_was_asked_for():
    line = ["ma1"] * 4000
    changed = PinyinNoise(tone=0.25).apply(line, "u", lambda reading: True)
    assert abs(changed.count("ma5") / 4000 - 0.25) < 0.03


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(READINGS), min_size=1, max_size=10), st.integers(0, 99), st.text("ab", max_size=3))
def test_noise_gives_known_confusions_only(line, seed, key):
    known = all_readings().__contains__
    for before, after in zip(line, PinyinNoise(0.5, 0.5, 0.5, 0.5, seed).apply(line, key, known), strict=True):
        assert after in confusions(before)
        assert known(after)


def test_wrong_rate():
    with pytest.raises(ValueError, match="pinyin noise nasal must be a probability from 0 to 1, is 1.5"):
        PinyinNoise(nasal=1.5)


def test_noisy_ids_are_in_the_frozen_list():
    noise = PinyinNoise(0.5, 0.5, 0.5, 0.5)
    text = "我们今天在公园里慢慢地走"
    wide = PinyinTokenizer.build([text], noise_units=True)
    narrow = PinyinTokenizer.build([text])
    assert set(narrow.units) < set(wide.units)
    keys = [str(number) for number in range(20)]
    assert any(wide.encode_noisy(text, noise, key) != wide.encode(text) for key in keys)
    for tokenizer in (wide, narrow):
        assert all(1 not in tokenizer.encode_noisy(text, noise, key) for key in keys)
        assert tokenizer.encode_noisy(text, PinyinNoise(), "k") == tokenizer.encode(text)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), st.integers(1, 4), st.integers(0, 99))
def test_repeated_units_stand_up_to_so_many_times(units, most, seed):
    marked = [f"{index} {unit}" for index, unit in enumerate(units)]
    longer = PinyinNoise(repeat=most, seed=seed).lengthen(marked, "u")
    assert list(dict.fromkeys(longer)) == marked, "in order, none lost"
    assert all(1 <= longer.count(unit) <= most for unit in marked)


def test_repeats_are_even_differ_by_epoch_and_move_no_other_noise():
    noise = PinyinNoise(repeat=3)
    longer = noise.lengthen([str(index) for index in range(3000)], "u epoch1")
    counts = [longer.count(str(index)) for index in range(3000)]
    assert all(abs(counts.count(times) / 3000 - 1 / 3) < 0.03 for times in (1, 2, 3))
    assert longer == noise.lengthen([str(index) for index in range(3000)], "u epoch1")
    assert longer != noise.lengthen([str(index) for index in range(3000)], "u epoch2")
    known = all_readings().__contains__
    both = PinyinNoise(tone=0.5, repeat=3)
    assert both.apply(READINGS[:50], "u", known) == PinyinNoise(tone=0.5).apply(READINGS[:50], "u", known)
    tokenizer = PinyinTokenizer.build(["我们今天"], unit="initial_final")
    assert set(tokenizer.encode_noisy("我们今天", noise, "k")) == set(tokenizer.encode("我们今天"))
    assert len(tokenizer.encode_noisy("我们今天", noise, "k")) > len(tokenizer.encode("我们今天"))


def test_no_noise_is_known_as_such_and_repeat_is_checked():
    assert PinyinNoise(seed=7).is_none
    assert not PinyinNoise(repeat=2).is_none and not PinyinNoise(tone=0.1).is_none
    with pytest.raises(ValueError, match="pinyin noise repeat must be at least 1, is 0"):
        PinyinNoise(repeat=0)
