"""Noise on pinyin: confusions and varying lengths, which speech brings and text does not (narrows the stage gap of 2409.16005)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from speechlm.text.pinyin import LETTERS_AND_DIGITS

INITIALS = {"zh": "z", "ch": "c", "sh": "s", "z": "zh", "c": "ch", "s": "sh"}
NASALS = {"ang": "an", "eng": "en", "ing": "in", "an": "ang", "en": "eng", "in": "ing"}
LIQUIDS = {"l": "n", "n": "l"}


@dataclass(frozen=True)
class PinyinNoise:
    """Change readings at random; the same seed and key change the same readings in the same way.

    Options:
        tone: probability that a syllable loses its tone (becomes neutral).
        initial: probability of z for zh, c for ch, s for sh, and the reverse.
        nasal: probability of n for ng at the end of a syllable, and the reverse.
        liquid: probability of l for n at the beginning of a syllable, and the reverse.
        seed: another seed changes other syllables.
        repeat: a unit stands from once to this many times in a row, each number as likely, as pooled speech holds a sound
            for more steps or fewer: a small LM that has read one unit a sound finds its characters by counting.
    """

    tone: float = 0.0
    initial: float = 0.0
    nasal: float = 0.0
    liquid: float = 0.0
    seed: int = 1
    repeat: int = 1

    def __post_init__(self) -> None:
        for name in ("tone", "initial", "nasal", "liquid"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"pinyin noise {name} must be a probability from 0 to 1, is {getattr(self, name)}")
        if self.repeat < 1:
            raise ValueError(f"pinyin noise repeat must be at least 1, is {self.repeat}")

    @property
    def is_none(self) -> bool:
        """Whether it leaves everything as it is."""
        return self == PinyinNoise(seed=self.seed)

    def lengthen(self, units: Sequence[str], key: str) -> list[str]:
        """Repeat units as `repeat` says; `key` is the utterance's id and epoch."""
        if self.repeat == 1:
            return list(units)
        chooser = random.Random(f"repeat {self.seed} {key}")
        return [unit for unit in units for _ in range(chooser.randint(1, self.repeat))]

    def apply(self, readings: Sequence[str], key: str, known: Callable[[str], bool]) -> list[str]:
        """Change the readings of an utterance; `key` is its id and epoch.

        known: tells whether a changed reading can be written in the frozen units; where it cannot, the syllable stays
        as it was.
        """
        chooser = random.Random(f"pinyin {self.seed} {key}")
        return [self._change(reading, chooser, known) for reading in readings]

    def _change(self, reading: str, chooser: random.Random, known: Callable[[str], bool]) -> str:
        # Four draws for every syllable, whatever it is: one rate does not move the noise of another.
        tone, initial, nasal, liquid = (chooser.random() for _ in range(4))
        if not reading or reading in LETTERS_AND_DIGITS:
            return reading
        for wanted, change in (
            (initial < self.initial, swap_initial),
            (nasal < self.nasal, swap_nasal),
            (liquid < self.liquid, swap_liquid),
            (tone < self.tone, drop_tone),
        ):
            changed = change(reading) if wanted else reading
            if changed != reading and known(changed):
                reading = changed
        return reading


def swap_initial(reading: str) -> str:
    """zh, ch, sh <-> z, c, s."""
    size = 2 if reading[1:2] == "h" else 1
    return INITIALS.get(reading[:size], reading[:size]) + reading[size:]


def swap_nasal(reading: str) -> str:
    """an, en, in <-> ang, eng, ing."""
    body, tone = reading[:-1], reading[-1]
    for size in (3, 2):
        if body[-size:] in NASALS:
            return body[:-size] + NASALS[body[-size:]] + tone
    return reading


def swap_liquid(reading: str) -> str:
    """l <-> n at the beginning."""
    return LIQUIDS.get(reading[0], reading[0]) + reading[1:]


def drop_tone(reading: str) -> str:
    """Make the tone neutral."""
    return reading[:-1] + "5"


def confusions(reading: str) -> set[str]:
    """List what any noise can make of a reading, itself included."""
    found = {reading}
    for change in (swap_initial, swap_nasal, swap_liquid, drop_tone):
        found |= {change(one) for one in found}
    return found
