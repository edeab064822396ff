"""Families of parts and their tables: a kind is one file and one line `"kind": "module:Class"` in the family's `__init__`."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from speechlm.core.errors import UserError
from speechlm.core.signature import Signature, read_signature

FAMILIES: dict[str, str] = {
    "encoder": "speechlm.encoders",
    "bridge": "speechlm.bridges",
    "llm": "speechlm.llms",
    "head": "speechlm.heads",
    "loss": "speechlm.losses",
    "corpus": "speechlm.corpora",
}


def nearest(word: str, words: list[str]) -> str:
    """Word the hint of an error: the nearest name where one is near, else all names."""
    close = difflib.get_close_matches(word, words, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(words)}"


def kinds(family: str) -> dict[str, str]:
    """Give the table kind -> "module:Class" of a family; costs no heavy import."""
    return importlib.import_module(FAMILIES[family]).KINDS


def target(family: str, kind: str) -> str:
    """Give "module:Class" of a kind; an unknown kind is a UserError with the nearest name."""
    table = kinds(family)
    if kind not in table:
        raise UserError(f"{family}.kind: unknown kind '{kind}'; {nearest(kind, list(table))}")
    return table[kind]


def signature(family: str, kind: str) -> Signature:
    """Give the options of a kind, read from its source."""
    return read_signature(target(family, kind))


def load(family: str, kind: str) -> Any:
    """Import the class of a kind."""
    module, _, name = target(family, kind).partition(":")
    return getattr(importlib.import_module(module), name)
