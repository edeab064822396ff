"""Token lists: transcripts to unit ids and back, built from text and frozen to a folder."""

from __future__ import annotations

import importlib
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.text import KINDS
from speechlm.text.normalize import check_language, normalize

BLANK, UNK, SPACE = "<blank>", "<unk>", "▁"
BLANK_ID, UNK_ID = 0, 1
Options = dict[str, str | int | bool | float]


class Tokenizer(ABC):
    """A frozen list of units with `<blank>` 0 and `<unk>` 1, and the way from text to units.

    Text is normalised in `language` before it is cut, so the same text always gives the same units.
    """

    kind: str
    spells_text: bool = True  # False: units are a pronunciation; errors are counted in units, not in words of the text

    def __init__(self, units: Sequence[str], *, language: str = "none") -> None:
        if list(units[:2]) != [BLANK, UNK]:
            raise UserError(f"the first two units must be {BLANK} and {UNK}, are {' '.join(units[:2])}")
        self.units = list(units)
        self.language = check_language(language)
        self.ids = {unit: i for i, unit in enumerate(self.units)}

    @property
    def size(self) -> int:
        """Number of units, blank and unknown included."""
        return len(self.units)

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """Cut text into units; a unit that is not in the list becomes `<unk>` when encoded."""

    @abstractmethod
    def join(self, units: Sequence[str]) -> str:
        """Put units together to text; the inverse of `split` on normalised text."""

    def encode(self, text: str) -> list[int]:
        """Turn text into unit ids."""
        return [self.ids.get(unit, UNK_ID) for unit in self.split(normalize(text, self.language))]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text. Blank and unknown leave nothing: a missing unit, which scoring counts as one error."""
        return self.join([self.units[i] for i in ids if i not in (BLANK_ID, UNK_ID)])

    def options(self) -> Options:
        """Give the options of the kind that encoding depends on."""
        return {}

    def save(self, folder: Path | str) -> None:
        """Write `tokens.txt` (unit and id, one a line) and `tokenizer.json` into the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_open(folder / "tokens.txt") as file:
            file.writelines(f"{unit} {i}\n" for i, unit in enumerate(self.units))
        with atomic_open(folder / "tokenizer.json") as file:
            stored = {"kind": self.kind, "language": self.language, "options": self.options()}
            json.dump(stored, file, ensure_ascii=False, indent=2)
            file.write("\n")

    @classmethod
    def restore(cls, folder: Path, units: list[str], language: str, options: Options) -> Tokenizer:
        """Make the tokenizer of a saved folder; `options` is what `options()` gave."""
        if options:
            raise UserError(f"{folder}/tokenizer.json: kind {cls.kind} has no options, found {', '.join(options)}")
        return cls(units, language=language)


def count_units(texts: Iterable[list[str]], *, min_count: int, max_size: int) -> list[str]:
    """List the units that occur at least `min_count` times: blank, unknown, then the others in code point order.

    max_size: keep only the most frequent ones so that the list, blank and unknown included, has at most this size;
    0 keeps all.
    """
    counts = Counter(unit for units in texts for unit in units)
    kept = [unit for unit, count in counts.items() if count >= min_count]
    if max_size:
        kept = sorted(kept, key=lambda unit: (-counts[unit], unit))[: max(max_size - 2, 0)]
    return [BLANK, UNK, *sorted(kept)]


class CharTokenizer(Tokenizer):
    """One unit a character; the space between words is the unit ▁ (normalised Chinese and Japanese have none)."""

    kind = "char"

    @staticmethod
    def build(texts: Iterable[str], *, language: str = "none", min_count: int = 1, max_size: int = 0) -> CharTokenizer:
        """Collect the characters of the texts."""
        language = check_language(language)
        characters = (list(normalize(text, language).replace(" ", SPACE)) for text in texts)
        return CharTokenizer(count_units(characters, min_count=min_count, max_size=max_size), language=language)

    def split(self, text: str) -> list[str]:
        """Cut text into characters."""
        return list(text.replace(" ", SPACE))

    def join(self, units: Sequence[str]) -> str:
        """Join characters, ▁ as a space."""
        return " ".join("".join(units).replace(SPACE, " ").split())


class WordTokenizer(Tokenizer):
    """One unit a word between spaces."""

    kind = "word"

    @staticmethod
    def build(texts: Iterable[str], *, language: str = "none", min_count: int = 1, max_size: int = 0) -> WordTokenizer:
        """Collect the words of the texts."""
        language = check_language(language)
        words = (normalize(text, language).split() for text in texts)
        return WordTokenizer(count_units(words, min_count=min_count, max_size=max_size), language=language)

    def split(self, text: str) -> list[str]:
        """Cut text at spaces."""
        return text.split()

    def join(self, units: Sequence[str]) -> str:
        """Join words with spaces."""
        return " ".join(units)


def tokenizer_class(kind: str) -> type[Tokenizer]:
    """Import the class of a kind; UserError for an unknown one."""
    if kind not in KINDS:
        raise UserError(f"tokenizer kind '{kind}' is unknown; use one of {', '.join(KINDS)}")
    module, _, name = KINDS[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def read_units(path: Path) -> list[str]:
    """Read a `tokens.txt`: one `unit id` a line, ids 0, 1, 2 … without a gap, no unit twice."""
    if not path.exists():
        raise UserError(f"{path}: no such file; make it with: speechlm tokens --out {path.parent} …")
    units: dict[str, None] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        unit, found = line.rpartition(" ")[::2]
        if not unit or re.search(r"\s", unit) or found != str(number - 1):
            raise UserError(f"{path}:{number}: must be a unit without spaces and the id {number - 1}, is '{line}'")
        if unit in units:
            raise UserError(f"{path}:{number}: unit '{unit}' stands twice; units must be unique")
        units[unit] = None
    return list(units)


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """Load what `Tokenizer.save` wrote, of any kind."""
    folder = Path(folder)
    path = folder / "tokenizer.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        kind, language, options = stored["kind"], stored["language"], stored["options"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with: speechlm tokens --out {folder} …") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a tokenizer's description ({error}); make it again") from error
    return tokenizer_class(kind).restore(folder, read_units(folder / "tokens.txt"), language, options)
