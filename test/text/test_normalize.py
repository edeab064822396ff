import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.text.normalize import check_language, normalize
from test.paths import shared

LANGUAGES = ("zh", "ja", "en", "none")
TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.text("aB'’ 中文、゙かﾊﾟ１．Ａ-ßİ\u200b\u0301́", max_size=20)


@pytest.mark.parametrize(
    ("language", "raw", "clean"),
    [
        ("zh", "你好，世界！", "你好世界"),
        ("zh", "我 有 ＷｉＦｉ 和 ３ 个 苹果。", "我有WIFI和3个苹果"),
        ("zh", "hello,  world", "HELLO WORLD"),
        ("zh", "他说 don’t stop 吗", "他说DON'T STOP吗"),
        ("zh", "“百分之50%”", "百分之50"),
        ("zh", "〇一二", "〇一二"),
        ("ja", "「えっ、嘘でしょ。」", "えっ嘘でしょ"),
        ("ja", "ﾊﾛｰ　ワールド…", "ハローワールド"),
        ("ja", "か、゙", "が"),
        ("ja", "人々は１２３", "人々は123"),
        ("en", "Don’t stop -- 'cause it's the dogs' day!", "don't stop cause it's the dogs day"),
        ("en", "MISTER QUILTER'S MANNER", "mister quilter's manner"),
        ("en", "well-known  e.g. 3.5", "well known e g 3 5"),
        ("none", "  As  it, IS.\t", "As it, IS."),
        ("zh", "", ""),
        ("en", "...", ""),
    ],
)
def test_examples(language, raw, clean):
    assert normalize(raw, language) == clean


@settings(max_examples=300, deadline=None)
@given(TEXT, st.sampled_from(LANGUAGES))
def test_twice_is_once(text, language):
    once = normalize(text, language)
    assert normalize(once, language) == once


@settings(max_examples=200, deadline=None)
@given(TEXT, st.sampled_from(("zh", "ja", "en")))
def test_nothing_but_letters_marks_digits_and_single_spaces_stays(text, language):
    clean = normalize(text, language)
    for character in clean:
        assert unicodedata.category(character)[0] in "LMN" or character in " '", (clean, character)
    assert clean == " ".join(clean.split())
    if language == "ja":
        assert " " not in clean


def test_real_transcripts_are_clean_already():
    for line in shared("data/text_corpora/zh/aishell1_dev_test_transcripts.tsv").read_text("utf-8").splitlines():
        text = line.split("\t")[1]
        half_width = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in text)
        assert normalize(text, "zh") == half_width.upper()


def test_unknown_language():
    with pytest.raises(UserError, match="language 'de' is unknown; use one of zh, ja, en, none"):
        check_language("de")
