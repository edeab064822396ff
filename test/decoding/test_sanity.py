"""The CTC head as a witness against loops, refusals and inventions."""

from __future__ import annotations

import pytest

from speechlm.decoding.sanity import ctc_doubt


@pytest.mark.parametrize(
    ("answer", "heard", "kind"),
    [
        ("the cat sat", "the cat sat", None),
        ("the cat sat", "teh cat zat", None),
        ("", "", None),
        ("um", "", None),
        ("thank you for watching", "", "invented"),
        ("", "good morning", "lost"),
        ("um um um um um um um um", "um um", "long"),
        ("good", "good morning everybody", "short"),
        ("i am sorry, i cannot", "seven o'clock sharp", "far"),
    ],
)
def test_kinds(answer: str, heard: str, kind: str | None) -> None:
    doubt = ctc_doubt(answer, heard)
    assert (doubt.kind if doubt else None) == kind
    if doubt:
        assert (doubt.answer, doubt.heard) == (len(answer), len(heard))


def test_thresholds_are_the_callers() -> None:
    assert ctc_doubt([1] * 10, [1] * 6, length_ratio=1.5).kind == "long"
    assert ctc_doubt([1] * 10, [1] * 6) is None
    assert ctc_doubt([1, 2, 3, 4, 5], [1, 2, 9, 9, 9], distance_ratio=0.5, slack=2).distance == 3
