"""Phones as token list: words through a Kaldi pronunciation lexicon."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.text.lexicon import read_lexicon
from speechlm.text.normalize import check_language, normalize
from speechlm.text.tokens import BLANK, UNK, Options, Tokenizer

LEXICON_FILE = "lexicon.txt"
VARIANT = re.compile(r"\(\d+\)$")
STRESS = re.compile(r"(?<=[A-Za-z])[012]$")


class PhoneTokenizer(Tokenizer):
    """Words to phones, each word by the first pronunciation that the lexicon lists; a word it lacks is one `<unk>`.

    The lexicon is Kaldi's (`word phone phone …`; cmudict's `word(2)` are further pronunciations of `word`), its words
    are normalised like the text, and what the texts need of it is frozen into the folder. Decoding gives phones with
    spaces between them, since phones do not say their words.
    """

    kind = "phone"
    spells_text = False

    def __init__(
        self, units: Sequence[str], lexicon: dict[str, list[str]], *, stress: bool = False, language: str = "none"
    ) -> None:
        super().__init__(units, language=language)
        self.lexicon, self.stress = lexicon, stress

    @staticmethod
    def build(
        texts: Iterable[str], *, lexicon: Path | str, stress: bool = False, language: str = "none"
    ) -> PhoneTokenizer:
        """Collect the phones of the texts' words.

        lexicon: path of the lexicon. stress: keep cmudict's stress marks (AH0, AH1); else AH.

        Raises: UserError when the lexicon is broken or has no word of the texts.
        """
        language = check_language(language)
        pronunciations: dict[str, list[str]] = {}
        for word, found in read_lexicon(lexicon).items():
            phones = [phone if stress else STRESS.sub("", phone) for phone in found[0]]
            pronunciations.setdefault(normalize(VARIANT.sub("", word), language), phones)
        needed = {word for text in texts for word in normalize(text, language).split()}
        kept = {word: pronunciations[word] for word in sorted(needed & pronunciations.keys())}
        if not kept:
            raise UserError(f"{lexicon}: has none of the {len(needed)} words of the texts")
        phones = sorted({phone for word in kept.values() for phone in word})
        return PhoneTokenizer([BLANK, UNK, *phones], kept, stress=stress, language=language)

    def split(self, text: str) -> list[str]:
        """Read words; one `<unk>` for a word that the lexicon lacks."""
        return [phone for word in text.split() for phone in self.lexicon.get(word, (UNK,))]

    def join(self, units: Sequence[str]) -> str:
        """Put units in a row, with spaces."""
        return " ".join(units)

    def options(self) -> Options:
        """Tell whether stress is marked."""
        return {"stress": self.stress}

    def save(self, folder: Path | str) -> None:
        """Write the lexicon beside the token list."""
        super().save(folder)
        with atomic_open(Path(folder) / LEXICON_FILE) as file:
            file.writelines(f"{word} {' '.join(phones)}\n" for word, phones in self.lexicon.items())

    @classmethod
    def restore(cls, folder: Path, units: list[str], language: str, options: Options) -> Tokenizer:
        """Read the frozen lexicon."""
        lexicon = {word: found[0] for word, found in read_lexicon(folder / LEXICON_FILE).items()}
        return cls(units, lexicon, stress=bool(options["stress"]), language=language)
