"""What every head of the table must keep."""

from __future__ import annotations

import pytest

from speechlm.core.registry import load, signature
from speechlm.heads import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_docstring(kind: str) -> None:
    assert KINDS[kind] == f"speechlm.heads.{kind}:{kind.capitalize()}Head"
    assert load("head", kind).__doc__
    assert [option.name for option in signature("head", kind).options if not option.sentence.endswith(".")] == []
