"""Spaces stand between words, but not beside characters that stand alone; normalising the joined text changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.text.normalize import normalize
from speechlm.text.words import join_words, stands_alone


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], ""),
        (["how", "are", "you"], "how are you"),
        (["", " how ", "", "are  you"], "how are you"),
        (["我", "有", "WIFI", "BOX", "吗"], "我有WIFI BOX吗"),
        (["カメ", "ラ", "です"], "カメラです"),
    ],
)
def test_join(words: list[str], text: str) -> None:
    assert join_words(words) == text


def test_who_stands_alone() -> None:
    assert all(map(stands_alone, "我々〇あカー"))
    assert not any(map(stands_alone, "a1'é한я"))


@given(st.lists(st.text("我是ab1 ", max_size=4), max_size=6))
def test_chinese_joined_is_as_the_normaliser_leaves_it(words: list[str]) -> None:
    once = [normalize(word, "zh") for word in words]
    assert normalize(join_words(once), "zh") == join_words(once)
