"""Pinyin as token list: what the pinyin encoder reads and what a pinyin CTC head spells (2409.16005)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from speechlm.text.normalize import check_language, normalize
from speechlm.text.pinyin import LETTERS_AND_DIGITS, Scheme, all_readings, words
from speechlm.text.pinyin_noise import PinyinNoise, confusions
from speechlm.text.tokens import BLANK, UNK, UNK_ID, Options, Tokenizer


class PinyinTokenizer(Tokenizer):
    """Characters to pinyin units; Latin letters and digits are units, what has no reading is `<unk>`.

    The unit list is built from text once and frozen; decoding gives units with spaces between them, since a reading
    does not say its character.
    """

    kind = "pinyin"
    spells_text = False

    def __init__(self, units: Sequence[str], scheme: Scheme, *, language: str = "zh") -> None:
        super().__init__(units, language=language)
        self.scheme = scheme

    @staticmethod
    def build(
        texts: Iterable[str],
        *,
        language: str = "zh",
        unit: Literal["syllable", "initial_final"] = "syllable",
        tones: bool = True,
        noise_units: bool = False,
    ) -> PinyinTokenizer:
        """Collect the units of the texts, all letters and digits, and those that noise can make if `noise_units`."""
        scheme = Scheme(unit, tones)
        language = check_language(language)
        readings = {reading for text in texts for word in words(normalize(text, language)) for reading in word.readings}
        readings -= {"", *LETTERS_AND_DIGITS}
        if noise_units:
            readings = {other for reading in readings for other in confusions(reading)} & (readings | all_readings())
        units = {unit for reading in readings for unit in scheme.units(reading)}
        return PinyinTokenizer([BLANK, UNK, *sorted(units | set(LETTERS_AND_DIGITS))], scheme, language=language)

    def knows(self, reading: str) -> bool:
        """Tell whether a reading can be written in the frozen units."""
        return all(unit in self.ids for unit in self.scheme.units(reading))

    def readings(self, text: str) -> list[str]:
        """Read normalised text: one reading a character, "" where there is none."""
        return [reading for word in words(text) for reading in word.readings]

    def split(self, text: str) -> list[str]:
        """Read text and write the readings in units."""
        return [unit for reading in self.readings(text) for unit in self.scheme.units(reading) or (UNK,)]

    def join(self, units: Sequence[str]) -> str:
        """Put units in a row, with spaces."""
        return " ".join(units)

    def encode_noisy(self, text: str, noise: PinyinNoise, key: str) -> list[int]:
        """Turn text into ids as `encode` does, after noise; `key` is the utterance's id and epoch."""
        changed = noise.apply(self.readings(normalize(text, self.language)), key, self.knows)
        units = [unit for reading in changed for unit in self.scheme.units(reading) or (UNK,)]
        return [self.ids.get(unit, UNK_ID) for unit in noise.lengthen(units, key)]

    def options(self) -> Options:
        """Give the scheme."""
        return {"unit": self.scheme.unit, "tones": self.scheme.tones}

    @classmethod
    def restore(cls, folder: Path, units: list[str], language: str, options: Options) -> Tokenizer:
        """Make the tokenizer of a saved folder."""
        unit: Literal["syllable", "initial_final"] = "syllable" if options["unit"] == "syllable" else "initial_final"
        return cls(units, Scheme(unit, bool(options["tones"])), language=language)
