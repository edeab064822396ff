"""The lines of segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.io.segments import Segment, number, parse_segment


def test_forms() -> None:
    assert parse_segment("r 0.5 2", "u", "segments") == Segment("r", 0.5, 2.0, None)
    assert parse_segment("r 0.5 -1 1", "u", "segments") == Segment("r", 0.5, None, 1)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("r 1", "has 3 fields"),
        ("r 1 2 0 x", "has 6 fields"),
        ("r 2 1", "ends at 1 s, not after its start at 2 s"),
        ("r 1 1", "not after its start"),
        ("r nan 1", "time 'nan'"),
        ("r 0 inf", "time 'inf'"),
        ("r -1 1", "time '-1'"),
        ("r a 1", "time 'a'"),
        ("r 0 1 A", "channel 'A'"),
        ("r 0 1 ²", "channel '²'"),
        ("r 0 １", "time '１'"),
        ("r 0 1_0", "time '1_0'"),
        ("r\u2000 0 1 x", "channel 'x'"),
    ],
)
def test_faults(value: str, what: str) -> None:
    with pytest.raises(UserError) as error:
        parse_segment(value, "u", "segments")
    assert what in str(error.value) and str(error.value).startswith("segments: 'u' ")


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(value: str) -> None:
    try:
        part = parse_segment(value, "u", "segments")
    except UserError:
        return
    assert part.start >= 0 and (part.end is None or part.end > part.start)


@given(st.floats())
def test_numbers_are_finite_and_not_negative(value: float) -> None:
    try:
        assert 0 <= number(repr(value), "u", "f") < float("inf")
    except UserError:
        assert not 0 <= value < float("inf") or repr(value) == "-0.0"
