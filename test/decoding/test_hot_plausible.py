"""Which hot words are plausible: distances by brute force, the choice by its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kaldialign import edit_distance

from speechlm.decoding import hot_plausible
from speechlm.decoding.hot_plausible import HotPrompt, Nearest

TEXT = st.text("abc 中", max_size=9)


def by_trying(phrase: str, text: str) -> int:
    """The fewest edits to any part of the text, each compared by itself."""
    parts = {text[start:end] for start in range(len(text) + 1) for end in range(start, len(text) + 1)}
    return min(edit_distance(list(part), list(phrase))["total"] for part in parts)


@given(st.lists(st.text("abc 中", min_size=1, max_size=6), max_size=6), TEXT)
def test_distances_are_those_of_the_nearest_part(phrases: list[str], text: str) -> None:
    assert Nearest(phrases).distances(text).tolist() == [by_trying(phrase, text) for phrase in phrases]


def test_more_phrases_than_fit_at_once(monkeypatch: object) -> None:
    phrases = ["".join(sorted({c for c in f"{number:03}"})) * (1 + number % 4) for number in range(100)]
    monkeypatch.setattr(hot_plausible, "CHUNK", 7)
    assert Nearest(phrases).distances("012 345 112").tolist() == [
        by_trying(phrase, "012 345 112") for phrase in phrases
    ]


def chooser(phrases: dict[str, float], **options: float) -> HotPrompt:
    return HotPrompt(phrases, lambda chosen: [], language="en", **{"distance": 0.5, "most": 9, **options})


def test_the_nearest_first_then_the_heavier_then_the_earlier() -> None:
    phrases = {"berlin": 1.0, "kowalski": 1.0, "anna": 1.0, "hanna": 3.0, "bern": 1.0, "zzz": 9.0}
    heard = "i saw kovalski and anna in Berlin!"
    assert chooser(phrases).plausible(heard) == ["berlin", "anna", "kowalski", "hanna", "bern"]
    assert chooser(phrases, most=2).plausible(heard) == ["berlin", "anna"]
    assert chooser(phrases, distance=0.0).plausible(heard) == ["berlin", "anna"]
    assert chooser(phrases, distance=0.125).plausible(heard) == ["berlin", "anna", "kowalski"]
    assert chooser(phrases, distance=1.0).plausible("") == ["zzz", "hanna", "berlin", "kowalski", "anna", "bern"]
    assert chooser(phrases).plausible("") == []
    assert chooser(phrases).plausible(None) == ["zzz", "hanna", "berlin", "kowalski", "anna", "bern"]


@given(st.dictionaries(st.text("abc中", min_size=1, max_size=5), st.sampled_from([1.0, 2.0]), max_size=6), TEXT,
       st.sampled_from([0.0, 0.25, 0.34, 0.5, 0.75]), st.integers(1, 4))  # fmt: skip
def test_the_choice_is_its_definition(phrases: dict[str, float], heard: str, distance: float, most: int) -> None:
    spoken = " ".join(heard.split())
    near = {phrase: by_trying(phrase, spoken) for phrase in phrases}
    kept = [phrase for phrase in phrases if near[phrase] <= distance * len(phrase)]
    kept.sort(key=lambda phrase: (near[phrase] / len(phrase), -phrases[phrase]))
    assert chooser(phrases, distance=distance, most=most).plausible(heard) == kept[:most]
