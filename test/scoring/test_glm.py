"""Mapping of spellings."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechlm.core.errors import UserError
from speechlm.scoring.glm import read_glm
from speechlm.scoring.score import Settings, score

RULES = """\
;; NIST's style
* a comment too
[COLOUR] => [COLOR] / [ ] __ [ ]
CANNOT => CAN NOT
[YOU'LL] => {YOU WILL / YOU'LL}
[NEW YORK] => [NEWYORK]
[NEW] => [RECENT]
[UH] =>
"""


def test_rules_are_applied_longest_first(tmp_path: Path) -> None:
    (tmp_path / "glm").write_text(RULES)
    mapping = read_glm(tmp_path / "glm")
    text = "UH YOU'LL SEE NEW YORK AND NEW COLOUR YOU CANNOT"
    assert mapping.apply(text.split()) == ["YOU", "WILL", "SEE", "NEWYORK", "AND", "RECENT", "COLOR", "YOU", "CAN", "NOT"]
    assert mapping.apply([]) == []
    assert mapping.apply(["NEW"]) == ["RECENT"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A B", "glm:2: not a rule"),
        ("[A] => [B] / [x] __ [ ]", "glm:2: a rule with a context"),
        ("[] => [B]", "glm:2: the left side is empty"),
        ("[COLOUR] => [HUE]", "glm:2: 'COLOUR' is mapped twice"),
    ],
)
def test_bad_rules_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "glm").write_text(f"[COLOUR] => [COLOR]\n{line}\n")
    with pytest.raises(UserError, match=message):
        read_glm(tmp_path / "glm")
    with pytest.raises(UserError, match="no such file"):
        read_glm(tmp_path / "none")


def test_both_sides_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "glm").write_text("[colour] => [color]\n[uh] =>\n")
    (tmp_path / "ref").write_text("u1 the colour uh of\n")
    (tmp_path / "hyp").write_text("u1 uh the color of\n")
    settings = Settings(glm=tmp_path / "glm", sclite="never", language="en")
    found = score(tmp_path / "ref", tmp_path / "hyp", tmp_path / "out", None, settings)
    assert (found.tally.words, found.tally.errors) == (3, 0)
