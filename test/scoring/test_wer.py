"""Units, normalisation and the sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.scoring.align import Counts
from speechlm.scoring.wer import Tally, added, percent, reader, units
from speechlm.text.normalize import normalize


@pytest.mark.parametrize(
    ("text", "unit", "wanted"),
    [
        ("the  cat sat", "word", ["the", "cat", "sat"]),
        ("今天 WIFI 好", "char", list("今天WIFI好")),
        ("今天WIFI很好 OK", "mixed", ["今", "天", "WIFI", "很", "好", "OK"]),
        ("これはペンAB", "mixed", ["こ", "れ", "は", "ペ", "ン", "AB"]),
        ("don't 3G", "mixed", ["don't", "3G"]),
        ("", "char", []),
        ("　", "word", []),
    ],
)
def test_units(text: str, unit: str, wanted: list[str]) -> None:
    assert units(text, unit) == wanted


def test_reader_normalises_as_training_does() -> None:
    assert reader("zh", "char")("Ｗｉｆｉ，你 好！") == list("WIFI你好")
    assert reader("en", "word")("Don't  STOP, 'now'.") == ["don't", "stop", "now"]
    assert reader("ja", "char")("今日 は。") == list("今日は")
    assert reader("none", "word")("A, b.") == ["A,", "b."]


@given(st.text(st.sampled_from("abZÉ'’-.,\u0301ﬁ1 \u3000%你"), max_size=25))
def test_english_word_by_word_is_the_whole_line(text: str) -> None:
    assert reader("en", "word")(text) == normalize(text, "en").split()


def test_line_is_kaldis() -> None:
    tally = Tally()
    tally.add(Counts(104765, 7136, 179, 269))
    assert tally.line() == "%WER 7.24 [ 7584 / 104765, 179 ins, 269 del, 7136 sub ]"
    tally.add(Counts(3, 0, 0, 3), missing=True)
    assert tally.line().endswith(" ] [PARTIAL]")
    assert (tally.utterances, tally.missing, tally.wrong) == (2, 1, 2)


def test_rates_without_reference_words() -> None:
    tally = Tally()
    tally.add(Counts(0, 0, 0, 0))
    assert (tally.rate, tally.wrong) == (0.0, 0)
    tally.add(Counts(0, 0, 2, 0))
    assert math.isinf(tally.rate)
    assert tally.line() == "%WER inf [ 2 / 0, 2 ins, 0 del, 0 sub ]"
    assert percent(1, 4) == 25.0


def test_tallies_add_up() -> None:
    one, two = Tally(), Tally()
    one.add(Counts(4, 1, 0, 1))
    two.add(Counts(2, 0, 1, 0), missing=True)
    total = added([one, two])
    assert (total.words, total.errors, total.missing, total.correct) == (6, 3, 1, 4)
