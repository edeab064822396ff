"""What is said in a recording, with times, and the forms in which it is written: txt, json, srt, vtt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from speechlm.text.words import join_words, stands_alone

FORMATS = ("txt", "json", "srt", "vtt")
CUE_SECONDS = 7.0
CUE_WIDTH = 84
"""Two lines of 42 columns; a Han character or kana takes two."""
CUE_PAUSE = 1.0


class Word(NamedTuple):
    """A word of a segment: start and end in seconds from the recording's start, confidence from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


class Cue(NamedTuple):
    """What a subtitle shows from start to end (seconds)."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Segment:
    """A part of a recording that was recognised in one go.

    start, end: seconds. score: of the search. words: None where no times can be had, with the reason in `untimed`.
    doubt: why the CTC head doubts the text (see `decoding.sanity`), None where it does not or is not there.
    """

    start: float
    end: float
    text: str
    score: float
    words: list[Word] | None = None
    untimed: str | None = None
    doubt: str | None = None

    def entry(self) -> dict[str, Any]:
        """Give what JSON says of it."""
        made: dict[str, Any] = {"start": _time(self.start), "end": _time(self.end)}
        made |= {"text": self.text, "score": self.score}
        if self.words is not None:
            made["words"] = [
                {"word": w.word, "start": _time(w.start), "end": _time(w.end), "confidence": round(w.confidence, 4)}
                for w in self.words
            ]
        optional = {"untimed": self.untimed, "ctc_doubt": self.doubt}
        return {**made, **{name: value for name, value in optional.items() if value is not None}}


@dataclass
class Transcript:
    """All segments of a recording, in order: they cover it without gap or overlap."""

    name: str
    seconds: float = 0.0
    segments: list[Segment] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole text on one line."""
        return join_words(segment.text for segment in self.segments)

    def cues(self) -> list[Cue]:
        """Give the subtitles: a segment each or, where its words have times, pieces of at most 7 s and two lines."""
        return [cue for segment in self.segments for cue in cues(segment)]

    def write(self, form: str, *, indent: int | None = None) -> str:
        """Write it as txt, json, srt or vtt, the last newline included."""
        if form == "txt":
            return f"{self.text}\n"
        if form == "json":
            segments = [segment.entry() for segment in self.segments]
            made = {"file": self.name, "seconds": _time(self.seconds), "text": self.text, "segments": segments}
            return json.dumps(made, ensure_ascii=False, indent=indent) + "\n"
        return srt(self.cues()) if form == "srt" else vtt(self.cues())


def cues(segment: Segment) -> list[Cue]:
    """Cut a segment into subtitles; one of no text gives none."""
    text = " ".join(segment.text.split())
    if not text:
        return []
    words = segment.words or []
    if join_words(word.word for word in words) != text:  # no times, or of another spelling than what is shown
        return [Cue(segment.start, segment.end, text)]
    found: list[list[Word]] = []
    for word in words:
        if found and _fits(found[-1], word):
            found[-1].append(word)
        else:
            found.append([word])
    return [Cue(group[0].start, group[-1].end, join_words(word.word for word in group)) for group in found]


def _fits(group: list[Word], word: Word) -> bool:
    shown = join_words([*(other.word for other in group), word.word])
    width = sum(2 if stands_alone(character) else 1 for character in shown)
    short = word.end - group[0].start <= CUE_SECONDS and word.start - group[-1].end <= CUE_PAUSE
    return short and width <= CUE_WIDTH


def stamp(seconds: float, point: str) -> str:
    """Write a time as hh:mm:ss and milliseconds behind `point`."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}{point}{milliseconds:03d}"


def _span(cue: Cue, point: str) -> str:
    """Write a cue's times; its end lies at least a millisecond behind its start, or players refuse it."""
    start, end = round(cue.start, 3), max(round(cue.end, 3), round(cue.start, 3) + 0.001)
    return f"{stamp(start, point)} --> {stamp(end, point)}"


def srt(shown: list[Cue]) -> str:
    """Write SubRip: number, times with a comma, text, an empty line."""
    blocks = [f"{number}\n{_span(cue, ',')}\n{_plain(cue.text)}\n" for number, cue in enumerate(shown, start=1)]
    return "\n".join(blocks)


def vtt(shown: list[Cue]) -> str:
    """Write WebVTT: times with a point; &, < and > are markup there."""
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    blocks = [f"{_span(cue, '.')}\n{cue.text.translate(escaped)}\n" for cue in shown]
    return "\n".join(["WEBVTT\n", *blocks])


def _plain(text: str) -> str:
    """Take the arrow out of a text: SubRip has no escape, and readers look for it."""
    return text.replace("-->", "->")


def _time(seconds: float) -> float:
    return round(seconds, 3)
