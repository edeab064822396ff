"""Does text that a model may read hold what it will be tested on? Exact sentences and runs of characters in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from speechlm.text.normalize import Language, normalize

Verdict = Literal["exact", "ngram"]
EXAMPLES = 20
"""Leaking sentences that a report shows."""


class HeldOut:
    """The sentences of sets that stay unseen (2409.16005: development and test set), by sentence and by n-gram.

    sets: name of a set -> its transcripts. n: length of a run of characters that two sentences must not share; AISHELL-1
    says the same sentence with several speakers, so sentences alone are not enough. Texts are normalised and spaces do
    not count. A held-out sentence shorter than n is found only as a whole sentence.
    """

    def __init__(self, sets: Mapping[str, Iterable[str]], *, n: int = 8, language: Language = "zh") -> None:
        if n < 1:
            raise ValueError(f"leakage: n must be at least 1, is {n}")
        self.n, self.language = n, language
        self.sentences: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        for name, texts in sets.items():
            for text in texts:
                plain = self._plain(text)
                if plain:
                    self.sentences.setdefault(plain, name)
                for run in self._runs(plain):
                    self.runs.setdefault(run, name)

    def find(self, text: str) -> tuple[Verdict, str] | None:
        """Say how a sentence leaks and into which set; None where it has nothing in common with any."""
        plain = self._plain(text)
        if plain in self.sentences:
            return "exact", self.sentences[plain]
        for run in self._runs(plain):
            if run in self.runs:
                return "ngram", self.runs[run]
        return None

    def _plain(self, text: str) -> str:
        return normalize(text, self.language).replace(" ", "")

    def _runs(self, plain: str) -> Iterable[str]:
        return (plain[i : i + self.n] for i in range(len(plain) - self.n + 1))


@dataclass
class Leakage:
    """How many sentences of a text leak into which set, and how; some of them as examples."""

    sentences: int = 0
    exact: dict[str, int] = field(default_factory=dict)
    ngram: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def add(self, text: str, found: tuple[Verdict, str] | None) -> None:
        """Count one sentence."""
        self.sentences += 1
        if found is None:
            return
        verdict, name = found
        counts = self.exact if verdict == "exact" else self.ngram
        counts[name] = counts.get(name, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{verdict} {name} {text}")

    @property
    def leaking(self) -> int:
        """Number of sentences that leak."""
        return sum(self.exact.values()) + sum(self.ngram.values())

    def line(self) -> str:
        """Say it in one line."""
        told = [f"{n} are a sentence of {name}" for name, n in sorted(self.exact.items())]
        told += [f"{n} share a run with {name}" for name, n in sorted(self.ngram.items())]
        share = 100 * self.leaking / max(1, self.sentences)
        return (
            f"{self.leaking} of {self.sentences} sentences leak ({share:.2f} %){': ' if told else ''}{', '.join(told)}"
        )


def fingerprint(text: str) -> int:
    """Hash a sentence to 64 bits, the same in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
