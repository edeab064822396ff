"""Where words begin and end in scripts with and without spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable

from speechlm.text.normalize import HAN

ALONE = re.compile(f"[{HAN}\u3040-\u30ff\uff66-\uff9f]")


def stands_alone(character: str) -> bool:
    """True for Han characters and kana: no spaces part their words, so each counts as one, as sclite counts them."""
    return ALONE.match(character) is not None


def join_words(words: Iterable[str]) -> str:
    """Put words or pieces of text behind each other; a space stands between two unless one side stands alone."""
    text = ""
    for word in (" ".join(word.split()) for word in words):
        if not word:
            continue
        space = " " if text and not (stands_alone(text[-1]) or stands_alone(word[0])) else ""
        text += space + word
    return text
