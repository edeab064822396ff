import json

from speechlm.text.lexicon import build_lexicon, read_lexicon
from speechlm.text.pinyin import Scheme

TEXTS = ["银行在这里", "行走", "慢慢地走", "土地", "WIFIッ"]


def test_entries_have_a_line_for_every_reading(tmp_path):
    build_lexicon(TEXTS).write(tmp_path, Scheme())
    found = read_lexicon(tmp_path / "lexicon.txt")
    assert found["行"] == [["hang2"], ["xing2"]]
    assert found["地"] == [["de5"], ["di4"]]
    assert found["F"] == [["F"]]
    assert "ッ" not in found
    lines = (tmp_path / "lexicon.txt").read_text("utf-8").splitlines()
    assert lines == sorted(set(lines))


def test_words_and_initials_and_finals(tmp_path):
    build_lexicon(TEXTS, by="word").write(tmp_path, Scheme("initial_final", tones=False))
    found = read_lexicon(tmp_path / "lexicon.txt")
    assert found["银行"] == [["in", "h", "ang"]]
    assert found["行走"] == [["x", "ing", "z", "ou"]]


def test_statistics_tell_fallbacks_and_heteronyms(tmp_path):
    lexicon = build_lexicon(TEXTS)
    lexicon.write(tmp_path, Scheme())
    found = json.loads((tmp_path / "lexicon.json").read_text("utf-8"))
    assert found["sentences"] == 5
    assert found["characters"] == sum(map(len, TEXTS))
    assert abs(sum(found["share_by"].values()) - 1) < 1e-4
    assert found["heteronyms"]["行"] == {"hang2": 1, "xing2": 1}
    assert found["num_heteronyms"] == 2
    assert found["unread"] == {"ッ": 1}
    assert found["guessed"]["地"] == 1
    assert found["fallbacks"] == sum(found["guessed"].values()) + 1
