"""Error rates: what is counted (words, characters, or both for mixed scripts), and the sums over a test set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from speechlm.scoring.align import Counts
from speechlm.text.normalize import HAN, Language, normalize

Unit = Literal["word", "char", "mixed"]
PREFIX: dict[str, str] = {"word": "wer", "char": "cer", "mixed": "cer"}
"""What the files of a unit are called: `wer_best`, `cer_details`."""
METRIC: dict[str, str] = {"word": "WER", "char": "CER", "mixed": "MER"}
"""What the rate of a unit is called; mixed gives the mixed error rate of code-switching."""

KANA = "\u3040-\u30ff\u31f0-\u31ff"
MIXED = re.compile(rf"[{HAN}{KANA}]|[^\s{HAN}{KANA}]+")


def units(text: str, unit: Unit) -> list[str]:
    """Cut a normalised transcript into what errors are counted in.

    word: at blanks. char: every character, blanks left out. mixed: Han characters and kana one by one, everything
    else by the word, so that one wrong English word in a Mandarin sentence is one error, not six.
    """
    if unit == "word":
        return text.split()
    if unit == "char":
        return list("".join(text.split()))
    return MIXED.findall(text)


class _EnglishWords(dict[str, str]):
    """English is normalised word by word (a test proves it is the same as the whole line), and words come back."""

    def __missing__(self, word: str) -> str:
        made = normalize(word, "en")
        self[word] = made
        return made


def reader(language: Language, unit: Unit) -> Callable[[str], list[str]]:
    """Give the function that turns a line of `text` into units: the one normaliser, then the cut."""
    if language == "none" and unit == "word":
        return str.split
    if language == "en":
        words = _EnglishWords()
        if unit == "word":
            return lambda text: " ".join([words[word] for word in text.split()]).split()
        return lambda text: units(" ".join([words[word] for word in text.split()]), unit)
    return lambda text: units(normalize(text, language), unit)


@dataclass
class Tally:
    """Sums over a test set.

    utterances: references, those without a hypothesis included. missing: references without a hypothesis; their words
    are deletions. wrong: utterances with any error.
    """

    utterances: int = 0
    missing: int = 0
    wrong: int = 0
    words: int = 0
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0

    def add(self, counts: Counts, missing: bool = False) -> None:
        """Count one utterance."""
        words, substitutions, insertions, deletions = counts
        self.utterances += 1
        self.missing += missing
        self.wrong += substitutions + insertions + deletions > 0
        self.words += words
        self.substitutions += substitutions
        self.insertions += insertions
        self.deletions += deletions

    @property
    def errors(self) -> int:
        """All errors together."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def correct(self) -> int:
        """Reference words that were recognised."""
        return self.words - self.substitutions - self.deletions

    @property
    def rate(self) -> float:
        """Error rate in percent; infinite where there are errors but no reference word."""
        return percent(self.errors, self.words)

    @property
    def sentence_rate(self) -> float:
        """Share of utterances with any error, in percent."""
        return percent(self.wrong, self.utterances)

    def line(self) -> str:
        """Write Kaldi's line: `%WER 7.24 [ 7584 / 104765, 179 ins, 269 del, 7136 sub ]`."""
        line = (
            f"%WER {self.rate:.2f} [ {self.errors} / {self.words}, {self.insertions} ins, "
            f"{self.deletions} del, {self.substitutions} sub ]"
        )
        return line + " [PARTIAL]" if self.missing else line


def added(tallies: Iterable[Tally]) -> Tally:
    """Give the sum of tallies."""
    total = Tally()
    for tally in tallies:
        for name, value in vars(tally).items():
            setattr(total, name, getattr(total, name) + value)
    return total


def percent(part: float, whole: float) -> float:
    """Give 100 part / whole; 0 for nothing of nothing, infinity for something of nothing."""
    if whole:
        return 100.0 * part / whole
    return float("inf") if part else 0.0
