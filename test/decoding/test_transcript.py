"""Subtitles that a strict reader takes, JSON that says what was found, text on one line."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from speechlm.decoding.transcript import Cue, Segment, Transcript, Word, cues, srt, stamp, vtt

TIME = r"(\d\d+):([0-5]\d):([0-5]\d)"


def seconds(match: tuple[str, ...]) -> float:
    return int(match[0]) * 3600 + int(match[1]) * 60 + int(match[2]) + int(match[3]) / 1000


def read_srt(text: str) -> list[Cue]:
    """Read SubRip as its grammar is usually given; anything else fails."""
    found = []
    for number, block in enumerate(text.removesuffix("\n").split("\n\n") if text else [], start=1):
        match = re.fullmatch(rf"(\d+)\n{TIME},(\d\d\d) --> {TIME},(\d\d\d)\n(.+)", block)
        assert match and int(match[1]) == number, block
        fields = match.groups()
        found.append(Cue(seconds(fields[1:5]), seconds(fields[5:9]), fields[9]))
    return found


def read_vtt(text: str) -> list[Cue]:
    head, *blocks = text.removesuffix("\n").split("\n\n")
    assert head == "WEBVTT"
    found = []
    for block in blocks:
        match = re.fullmatch(rf"{TIME}\.(\d\d\d) --> {TIME}\.(\d\d\d)\n([^<>\n]+)", block)
        assert match, block
        fields = match.groups()
        shown = fields[8].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        found.append(Cue(seconds(fields[:4]), seconds(fields[4:8]), shown))
    return found


def words(*rows: tuple[str, float, float]) -> list[Word]:
    return [Word(word, start, end, 0.5) for word, start, end in rows]


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)


@given(st.lists(st.tuples(st.floats(0.0001, 4000), TEXTS), max_size=6))
def test_subtitles_are_well_formed(rows: list[tuple[float, str]]) -> None:
    segments, start = [], 0.0
    for length, text in rows:
        segments.append(Segment(start, start + length, text, -1.0))
        start += length
    found = Transcript("a.wav", start, segments)
    shown = [one for one in segments if one.text.split()]
    for cues_read, arrow in ((read_srt(found.write("srt")), "->"), (read_vtt(found.write("vtt")), "-->")):
        assert [cue.text for cue in cues_read] == [" ".join(one.text.split()).replace("-->", arrow) for one in shown]
        for cue, one in zip(cues_read, shown, strict=True):
            assert cue.end > cue.start and abs(cue.start - one.start) < 0.001 and cue.end <= one.end + 0.0015
    assert found.write("txt").count("\n") == 1


def test_examples_to_the_letter() -> None:
    shown = [Cue(0, 1.5, "how are you"), Cue(3599.9996, 36000, "a < b & c --> d")]
    assert srt(shown) == (
        "1\n00:00:00,000 --> 00:00:01,500\nhow are you\n\n2\n01:00:00,000 --> 10:00:00,000\na < b & c -> d\n"
    )
    assert vtt(shown) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nhow are you\n\n"
        "01:00:00.000 --> 10:00:00.000\na &lt; b &amp; c --&gt; d\n"
    )
    assert srt([]) == "" and vtt([]) == "WEBVTT\n"
    assert stamp(360000.0005, ".") == "100:00:00.000"


def test_words_with_times_make_short_cues() -> None:
    said = [("one", 0.5, 1.0), ("two", 1.1, 1.5), ("three", 4.0, 4.5), ("four", 4.6, 9.0), ("five", 9.1, 12.0)]
    found = cues(Segment(0, 20, "one two three four five", -1, words(*said)))
    assert found == [Cue(0.5, 1.5, "one two"), Cue(4.0, 9.0, "three four"), Cue(9.1, 12.0, "five")]
    long = [("word", 0.1 * i, 0.1 * i + 0.1) for i in range(40)]
    assert max(len(cue.text) for cue in cues(Segment(0, 4, " ".join(["word"] * 40), -1, words(*long)))) == 84
    han = [("字", 0.1 * i, 0.1 * i + 0.1) for i in range(60)]
    assert [len(cue.text) for cue in cues(Segment(0, 6, "字" * 60, -1, words(*han)))] == [42, 18]


def test_words_that_are_not_the_text_do_not_replace_it() -> None:
    said = words(("hello", 1, 1.2), ("you", 1.3, 1.5))
    assert cues(Segment(1, 2, "Hello, You", -1, said)) == [Cue(1, 2, "Hello, You")]


def test_json_says_everything() -> None:
    first = Segment(0, 2, "我有", -0.5, words(("我", 0.1, 0.2)), doubt="far")
    found = Transcript("a.wav", 3.0, [first, Segment(2, 3, "wifi", -1, None, "no room")])
    assert json.loads(found.write("json")) == {
        "file": "a.wav", "seconds": 3.0, "text": "我有wifi",
        "segments": [
            {"start": 0, "end": 2, "text": "我有", "score": -0.5, "ctc_doubt": "far",
             "words": [{"word": "我", "start": 0.1, "end": 0.2, "confidence": 0.5}]},
            {"start": 2, "end": 3, "text": "wifi", "score": -1, "untimed": "no room"},
        ],
    }  # fmt: skip
    assert found.write("json").count("\n") == 1 and found.write("json", indent=2).count("\n") > 10
