"""Which utterances surround one, and how much of them fits the budget."""

from __future__ import annotations

import pytest

from speechlm.core.errors import UserError
from speechlm.text.context import Context, ConversationContext, conversation_sides

SEGMENTS = {
    "b-2": "call1-B 4.0 5.0",
    "a-3": "call1-A 9.0 9.5",
    "a-1": "call1-A 0.5 2.0",
    "a-2": "call1-A 2.5 4.0",
    "c-1": "call2-A 0.0 1.0",
}
TEXTS = {"a-1": "1 2 3", "a-2": "4 5", "a-3": "6 7 8 9", "b-2": "99 98", "c-1": "77"}


def encode(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def test_sides_are_recordings_in_the_order_of_time() -> None:
    assert conversation_sides(SEGMENTS, segments=SEGMENTS) == [["a-1", "a-2", "a-3"], ["b-2"], ["c-1"]]


def test_speakers_of_one_recording_are_sides_of_it() -> None:
    segments = {"x": "meeting 3 4", "y": "meeting 1 2", "z": "meeting 2 3"}
    speakers = {"x": "ann", "y": "ann", "z": "bob"}
    assert conversation_sides(segments, segments=segments, utt2spk=speakers) == [["y", "x"], ["z"]]
    assert conversation_sides(["z", "y", "x"], utt2spk=speakers) == [["x", "y"], ["z"]]


def test_faults_are_told() -> None:
    with pytest.raises(UserError, match="segments or utt2spk"):
        conversation_sides(["x"])
    with pytest.raises(UserError, match="segments: has no line for 'x'"):
        conversation_sides(["x"], segments={})
    with pytest.raises(UserError, match="must have recording, start and end, has 'rec one 2'"):
        conversation_sides(["x"], segments={"x": "rec one 2"})
    for wrong in ({"budget": -1}, {"direction": "sideways"}):
        with pytest.raises(UserError, match="^context: "):
            ConversationContext([], {}, encode, **wrong)


def context(**options: object) -> ConversationContext:
    return ConversationContext(conversation_sides(SEGMENTS, segments=SEGMENTS), TEXTS, encode, **options)


def test_the_nearest_tokens_on_both_sides() -> None:
    assert context().of("a-2") == Context([1, 2, 3], [6, 7, 8, 9])
    assert context(budget=4).of("a-2") == Context([2, 3], [6, 7])
    assert context(budget=5).of("a-2") == Context([2, 3], [6, 7, 8])


def test_what_one_direction_cannot_use_goes_to_the_other() -> None:
    assert context(budget=4).of("a-1") == Context([], [4, 5, 6, 7])
    assert context(budget=4).of("a-3") == Context([2, 3, 4, 5], [])
    assert context(budget=6).of("a-2") == Context([1, 2, 3], [6, 7, 8])


def test_one_direction_only() -> None:
    assert context(budget=4, direction="past").of("a-2") == Context([1, 2, 3], [])
    assert context(budget=3, direction="future").of("a-2") == Context([], [6, 7, 8])


def test_no_context() -> None:
    empty = Context([], [])
    assert context(budget=0).of("a-2") == empty and context().of("unknown") == empty and context().of("c-1") == empty
