import pytest

from speechlm.text.pinyin import LETTERS_AND_DIGITS
from speechlm.text.pinyin_tokens import PinyinTokenizer
from test.paths import shared

TEXTS = ["银行行长走了", "我有WiFi。"]


def test_units_are_those_of_the_text_and_all_letters_and_digits():
    tokenizer = PinyinTokenizer.build(TEXTS)
    syllables = {"yin2", "hang2", "zhang3", "zou3", "le5", "wo3", "you3"}
    assert set(tokenizer.units) == {"<blank>", "<unk>"} | syllables | set(LETTERS_AND_DIGITS)
    assert tokenizer.decode(tokenizer.encode("银行，行长X")) == "yin2 hang2 hang2 zhang3 X"
    assert tokenizer.encode("人") == [1]
    assert tokenizer.encode("ッ") == [1]


@pytest.mark.parametrize(("unit", "tones"), [("syllable", True), ("syllable", False), ("initial_final", True)])
def test_all_of_aishell_can_be_written(unit, tones):
    path = shared("data/text_corpora/zh/aishell1_dev_test_transcripts.tsv")
    texts = [line.split("\t")[1] for line in path.read_text("utf-8").splitlines()][::10]
    tokenizer = PinyinTokenizer.build(texts, unit=unit, tones=tones)
    per_character = 2 if unit == "initial_final" else 1
    for text in texts[:200]:
        ids = tokenizer.encode(text)
        assert 1 not in ids
        assert len(text) <= len(ids) <= per_character * len(text)
    low, high = {("syllable", True): (850, 1200), ("syllable", False): (380, 460)}.get((unit, tones), (150, 250))
    assert low < tokenizer.size < high
