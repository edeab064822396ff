"""Mandarin substitutions that sound alike: what pinyin pre-training is to cure (Yang and others, arXiv 2409.16005)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple


class HomophonePair(NamedTuple):
    """A confusion of units that sound alike: how often, their common pinyin, and whether the tones agree too."""

    ref: str
    hyp: str
    count: int
    pinyin: str
    same_tone: bool


class Homophones(NamedTuple):
    """Substitutions of a test set and how many of them sound alike, without and with regard to tones."""

    substitutions: int
    same_syllable: int
    same_tone: int
    pairs: list[HomophonePair]

    @property
    def share(self) -> float:
        """Homophones among the substitutions, in percent."""
        return 100 * self.same_syllable / self.substitutions if self.substitutions else 0.0


@lru_cache(maxsize=65536)
def readings(unit: str) -> tuple[tuple[str, ...], ...]:
    """Give the readings of a unit, the usual one first; each a tuple of syllables with tone digits (5 is neutral).

    A single character has all its readings, a longer unit the one that pypinyin's phrases choose; what is not Chinese
    has none.
    """
    from pypinyin import Style, pinyin

    if not unit or not all("\u3400" <= character <= "\u9fff" or character >= "\U00020000" for character in unit):
        return ()
    made = pinyin(unit, style=Style.TONE3, heteronym=len(unit) == 1, neutral_tone_with_five=True, errors="ignore")
    if len(unit) == 1:
        return tuple((syllable,) for syllable in (made[0] if made else []))
    return (tuple(syllables[0] for syllables in made),)


def toneless(reading: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the tone digits."""
    return tuple(syllable.rstrip("12345") for syllable in reading)


def compare(ref: str, hyp: str) -> tuple[str, bool] | None:
    """Give the common toneless pinyin of two units and whether the tones agree too; None if they sound different.

    The usual reading of one of them must be a reading of the other: 的 and 地 sound alike as particles, but two rare
    readings that meet do not count.
    """
    left, right = readings(ref), readings(hyp)
    if not left or not right:
        return None
    ways = [(left[0], right), (right[0], left)]
    for usual, others in ways:
        if usual in others:
            return " ".join(usual), True
    for usual, others in ways:
        if toneless(usual) in map(toneless, others):
            return " ".join(toneless(usual)), False
    return None


def homophones(confusions: Iterable[tuple[str, str, int]], top: int = 100) -> Homophones:
    """Sort substitutions (reference, hypothesis, count) by sound; keep the `top` most frequent pairs."""
    total = same_syllable = same_tone = 0
    pairs: list[HomophonePair] = []
    for ref, hyp, count in confusions:
        total += count
        found = compare(ref, hyp)
        if found:
            same_syllable += count
            same_tone += count * found[1]
            pairs.append(HomophonePair(ref, hyp, count, *found))
    pairs.sort(key=lambda pair: (-pair.count, pair.ref, pair.hyp))
    return Homophones(total, same_syllable, same_tone, pairs[:top])
