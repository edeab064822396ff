"""The one text normaliser: token lists, training targets, decoding and scoring all use it."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, get_args

from speechlm.core.errors import UserError

Language = Literal["zh", "ja", "en", "none"]

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
PLAIN_HAN = re.compile("[\u4e00-\u9fff]*")
SPACES_AT_HAN = re.compile(f" *(?<=[{HAN}]) +| +(?=[{HAN}])")
LOOSE_APOSTROPHE = re.compile(r"(?<![^\W_])'|'(?![^\W_])")
APOSTROPHES = str.maketrans({mark: "'" for mark in "’‘ʼ＇`´"})


def check_language(language: str) -> Language:
    """Give `language` back if the normaliser knows it; raise UserError if not."""
    for known in get_args(Language):
        if language == known:
            return known
    raise UserError(f"language '{language}' is unknown; use one of {', '.join(get_args(Language))}")


def normalize(text: str, language: Language) -> str:
    """Bring a transcript into the form that is learnt and scored. Applying it twice is the same as once.

    zh: NFKC (full width to half width), punctuation and symbols removed, Latin letters upper-cased, no spaces beside
    Chinese characters (kept between Latin words). ja: NFKC, punctuation, symbols and all spaces removed, kana and kanji
    as they are. en: lower case, punctuation removed except an apostrophe inside a word. none: only spaces squeezed.
    Digits are kept as digits in every language.
    """
    if language == "none":
        return " ".join(text.split())
    if language != "en" and PLAIN_HAN.fullmatch(text):
        return text
    text = unicodedata.normalize("NFKC", text.translate(APOSTROPHES)).translate(APOSTROPHES)
    if language == "zh":
        text = text.upper()
    elif language == "en":
        text = text.lower()
    text = "".join(map(_keep, text))
    if language == "ja":
        text = re.sub("[ ']", "", text)
    else:
        text = " ".join(LOOSE_APOSTROPHE.sub(" ", text).split())
    if language == "zh":
        text = SPACES_AT_HAN.sub("", text)
    # What was removed may have stood between a letter and its combining mark.
    return unicodedata.normalize("NFKC", text)


@lru_cache(maxsize=65536)
def _keep(character: str) -> str:
    """Keep letters, marks, digits and the apostrophe; punctuation and symbols leave a space, format signs nothing."""
    if character == "'":
        return character
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return " " if category[0] in "PSZC" else character
