"""Kaldi-style pinyin lexicon: every word or character of a text with the readings it has there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from speechlm.io.files import atomic_open
from speechlm.text.normalize import check_language, normalize
from speechlm.text.pinyin import Scheme, Word, words


@dataclass
class Lexicon:
    """Entries and statistics of a text.

    by: what an entry is; "word" keeps the phrases of the pinyin dictionary together (it lists those that decide the
    reading of a heteronym), everything else is a character. entries: (word or character, readings) -> how often.
    known: by what the readings of the characters were found (see `Word.known`) -> how many characters. guessed:
    heteronyms that stood in no known phrase and got their most frequent reading. unread: characters without a reading.
    """

    by: Literal["char", "word"] = "char"
    sentences: int = 0
    entries: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    guessed: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def add(self, text: str) -> None:
        """Read one normalised sentence."""
        self.sentences += 1
        for word in words(text):
            self.known[word.known] += len(word.text)
            if word.known == "none":
                self.unread[word.text] += 1
                continue
            if word.known == "heteronym":
                self.guessed[word.text] += 1
            self.entries.update(self._entries(word))

    def _entries(self, word: Word) -> list[tuple[str, tuple[str, ...]]]:
        if self.by == "word":
            return [(word.text, word.readings)]
        return [(character, (reading,)) for character, reading in zip(word.text, word.readings, strict=True)]

    def heteronyms(self) -> dict[str, dict[str, int]]:
        """List the entries with several readings: word -> reading -> how often."""
        found: dict[str, dict[str, int]] = {}
        for (word, readings), count in sorted(self.entries.items()):
            found.setdefault(word, {})[" ".join(readings)] = count
        return {word: readings for word, readings in found.items() if len(readings) > 1}

    def statistics(self) -> dict[str, object]:
        """Tell how the readings were found; shares are of all characters."""
        total = max(sum(self.known.values()), 1)
        heteronyms = self.heteronyms()
        return {
            "sentences": self.sentences,
            "characters": sum(self.known.values()),
            "entries": len({word for word, _ in self.entries}),
            "lines": len(self.entries),
            "share_by": {known: round(self.known[known] / total, 6) for known in sorted(self.known)},
            "fallbacks": sum(self.guessed.values()) + sum(self.unread.values()),
            "guessed": dict(self.guessed.most_common(50)),
            "unread": dict(self.unread.most_common(50)),
            "num_heteronyms": len(heteronyms),
            "heteronyms": heteronyms,
        }

    def write(self, folder: Path | str, scheme: Scheme) -> None:
        """Write `lexicon.txt` (`银 yin2`, several lines for several readings) and `lexicon.json` (the statistics)."""
        lines = {
            f"{word} {' '.join(unit for reading in readings for unit in scheme.units(reading))}\n"
            for word, readings in self.entries
        }
        with atomic_open(Path(folder) / "lexicon.txt") as file:
            file.writelines(sorted(lines))
        with atomic_open(Path(folder) / "lexicon.json") as file:
            json.dump(self.statistics(), file, ensure_ascii=False, indent=2)
            file.write("\n")


def build_lexicon(texts: Iterable[str], *, language: str = "zh", by: Literal["char", "word"] = "char") -> Lexicon:
    """Read all texts."""
    language = check_language(language)
    lexicon = Lexicon(by)
    for text in texts:
        lexicon.add(normalize(text, language))
    return lexicon


def read_lexicon(path: Path | str) -> dict[str, list[list[str]]]:
    """Read a `lexicon.txt`: word -> its pronunciations, each a list of units."""
    from speechlm.io.tables import iter_table

    found: dict[str, list[list[str]]] = {}
    for word, units in iter_table(path, values=True):
        found.setdefault(word, []).append(units.split())
    return found
