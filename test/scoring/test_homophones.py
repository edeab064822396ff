"""Mandarin substitutions that sound alike."""

from __future__ import annotations

import pytest

from speechlm.scoring.homophones import compare, homophones, readings


@pytest.mark.parametrize(
    ("ref", "hyp", "wanted"),
    [
        ("他", "她", ("ta1", True)),
        ("是", "事", ("shi4", True)),
        ("马", "妈", ("ma", False)),
        ("妈", "爸", None),
        ("行", "航", ("hang2", True)),  # one of its readings
        ("的", "地", ("de5", True)),  # a particle, though 地 alone is di4
        ("女", "怒", None),  # nv3 and nu4
        ("银行", "引航", ("yin hang", False)),  # a word has the reading of the phrase
        ("A", "诶", None),
        ("好", "", None),
    ],
)
def test_compare(ref: str, hyp: str, wanted: tuple[str, bool] | None) -> None:
    assert compare(ref, hyp) == wanted


def test_readings_of_a_phrase_are_those_of_its_context() -> None:
    assert readings("银行") == (("yin2", "hang2"),)
    assert readings("行")[0] == ("xing2",) and ("hang2",) in readings("行")
    assert readings("WIFI") == ()


def test_table() -> None:
    found = homophones([("他", "她", 5), ("马", "妈", 2), ("猫", "狗", 3), ("A", "B", 1)])
    assert (found.substitutions, found.same_syllable, found.same_tone) == (11, 7, 5)
    assert [pair.ref for pair in found.pairs] == ["他", "马"]
    assert found.share == pytest.approx(100 * 7 / 11)
    assert homophones([]).share == 0.0
    assert len(homophones([("他", "她", 1), ("马", "妈", 1)], top=1).pairs) == 1
