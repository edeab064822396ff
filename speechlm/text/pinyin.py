"""Mandarin characters to pinyin: the reading of every character, by phrase where a phrase decides it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True)
class Word:
    """A piece of a sentence and its readings, one a character: `银行` -> `("yin2", "hang2")`.

    known: by what the readings were found: a "phrase" of the dictionary, the only reading of a "single" character, the
    most frequent reading of a "heteronym" that stands in no known phrase, a "letter" (Latin letters and digits are
    their own reading), or "none" (no reading: punctuation, other scripts; the readings are empty strings).
    """

    text: str
    readings: tuple[str, ...]
    known: str


# Readings outside of known phrases where the dictionary's first one is not what is said: 地 is then the particle
# (389 of 390 times in AISHELL-1 dev+test and THCHS-30).
OVERRIDES = {"地": "de5", "谁": "shei2"}


def words(text: str) -> list[Word]:
    """Cut a normalised text into words and read them: tones 1-4, 5 for the neutral tone, ü written v.

    Every character of `text` but spaces belongs to one word.
    """
    from pypinyin.seg.mmseg import seg

    return [word for piece in seg.cut(text) for word in _read_piece(piece)]


@lru_cache(maxsize=200_000)
def _read_piece(piece: str) -> tuple[Word, ...]:
    from pypinyin.constants import PHRASES_DICT

    if len(piece) > 1 and piece in PHRASES_DICT:
        readings = tuple(_numbered(choices[0]) for choices in PHRASES_DICT[piece])
        if len(readings) == len(piece):
            return (Word(piece, readings, "phrase"),)
    return tuple(_read_character(character) for character in piece if not character.isspace())


@lru_cache(maxsize=100_000)
def _read_character(character: str) -> Word:
    from pypinyin.constants import PINYIN_DICT

    if character.upper() in LETTERS_AND_DIGITS:
        return Word(character, (character.upper(),), "letter")
    found = PINYIN_DICT.get(ord(character))
    if not found:
        return Word(character, ("",), "none")
    choices = found.split(",")
    reading = OVERRIDES.get(character, _numbered(choices[0]))
    return Word(character, (reading,), "heteronym" if len(choices) > 1 else "single")


@lru_cache(maxsize=10_000)
def _numbered(marked: str) -> str:
    """Turn a syllable with a tone mark into one with a number: `lǜ` -> `lv4`, `de` -> `de5`."""
    from pypinyin.style._tone_convert import to_tone3

    return to_tone3(marked, v_to_u=False, neutral_tone_with_five=True)


@lru_cache(maxsize=1)
def all_readings() -> frozenset[str]:
    """List every syllable with tone that any character has (about 1,550), neutral tones of all of them included."""
    from pypinyin.constants import PINYIN_DICT

    found = {_numbered(reading) for readings in PINYIN_DICT.values() for reading in readings.split(",")}
    return frozenset(found | {reading[:-1] + "5" for reading in found})


@dataclass(frozen=True)
class Scheme:
    """How a reading is written in units: whole syllables or initial and final, with tones or without.

    `zhong1` becomes `zhong1`, `zhong`, `zh ong1` or `zh ong`. Finals are the full ones (`liu2` is `l iou2`, `ju4` is
    `j v4`), so that each pair is one syllable. A letter or digit is one unit.
    """

    unit: Literal["syllable", "initial_final"] = "syllable"
    tones: bool = True

    def units(self, reading: str) -> tuple[str, ...]:
        """Write one reading in units; none for an empty reading."""
        if not reading:
            return ()
        if reading in LETTERS_AND_DIGITS:
            return (reading,)
        syllable, tone = reading[:-1], reading[-1] if self.tones else ""
        if self.unit == "syllable":
            return (syllable + tone,)
        initial, final = split_syllable(syllable)
        return (initial, final + tone) if initial else (final + tone,)


@lru_cache(maxsize=1000)
def split_syllable(syllable: str) -> tuple[str, str]:
    """Cut a toneless syllable into initial ("" for none) and full final: `zhong` -> zh, ong; `yan` -> "", ian."""
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    if syllable == "yo":
        return "", "io"
    final = to_finals(syllable, strict=True, v_to_u=False)
    # Interjections as m, ng, hm have no final; they stay whole.
    return (to_initials(syllable, strict=True), final) if final else ("", syllable)
