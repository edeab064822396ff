"""The list of hot words: its file, how an LLM's tokens spell it, and how often it leaks into answers; no torch here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from speechlm.core.errors import UserError
from speechlm.text.normalize import HAN, Language, normalize

UNSPACED = re.compile(f"[{HAN}\u3040-\u30ff]")
"""Characters before which no blank stands: Han characters and kana."""


class Spelling(NamedTuple):
    """Tokens of a phrase, which of them spell more than a blank, and whether it must begin the text."""

    tokens: tuple[int, ...]
    solid: tuple[bool, ...]
    at_start: bool


def read_phrases(path: Path | str, language: Language) -> dict[str, float]:
    """Read a list of hot words: a phrase a line, normalised like a transcript; a weight may follow a tab, else it is 1.

    Empty lines are skipped. Raises UserError, with the line, for a weight that is no number above 0, a phrase of which
    the normaliser leaves nothing, and one that stands twice; and for a file without any.
    """
    if not Path(path).is_file():
        raise UserError(f"decode.hot_words: {path}: no such file; give a list, one phrase a line")
    found: dict[str, float] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        written, tab, weight = line.partition("\t")
        phrase = normalize(written, language)
        if not phrase:
            raise UserError(f"{path}:{number}: nothing is left of '{written}' as text of language '{language}'")
        if phrase in found:
            raise UserError(f"{path}:{number}: '{phrase}' stands twice; take one line out")
        found[phrase] = _weight(weight, f"{path}:{number}") if tab else 1.0
    if not found:
        raise UserError(f"decode.hot_words: {path}: holds no phrase; write one a line, or take the option out")
    return found


def _weight(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{place}: the weight behind the tab must be a number above 0, is '{text}'")
    return value


def spellings(
    phrase: str, encode: Callable[[str], list[int]], pieces: Sequence[bytes], language: Language
) -> list[Spelling]:
    """Find the tokens that spell a phrase within a text; [] where the LLM has no tokens for a part of it.

    A phrase that begins with a letter of a spaced script counts only where a word begins: behind a blank, or at the
    start of the text, which many tokenizers spell otherwise. Whether it ends where a word ends is not looked at.

    encode: text to token ids, as answers are encoded in training. pieces: the bytes of every token.
    """
    bare = _trim(encode(phrase), pieces, blank=False)
    if _unspelt(bare, phrase, pieces):
        return []
    if UNSPACED.match(phrase) or language in ("zh", "ja"):
        return [_spelling(bare, pieces, at_start=False)]
    spaced = _trim(encode(f" {phrase}"), pieces, blank=True)
    found = [_spelling(spaced, pieces, at_start=False)]
    return found if bare == spaced else [*found, _spelling(bare, pieces, at_start=True)]


def _trim(tokens: list[int], pieces: Sequence[bytes], *, blank: bool) -> list[int]:
    """Take away tokens of nothing but a blank in front; with `blank` only where the next one has a blank of its own."""
    while len(tokens) > 1 and not pieces[tokens[0]].strip() and (not blank or pieces[tokens[1]].startswith(b" ")):
        tokens = tokens[1:]
    return tokens


def _unspelt(tokens: list[int], phrase: str, pieces: Sequence[bytes]) -> bool:
    """Say if the tokens lose a part of the phrase (a character that the LLM does not know)."""
    return b"".join(pieces[token] for token in tokens).decode(errors="replace").strip() != phrase


def _spelling(tokens: list[int], pieces: Sequence[bytes], *, at_start: bool) -> Spelling:
    return Spelling(tuple(tokens), tuple(bool(pieces[token].strip()) for token in tokens), at_start)


def contains(text: str, phrase: str) -> bool:
    """Say if a normalised text holds a phrase; a word of a spaced script must stand there as a whole."""
    if phrase not in text:  # most are not, and patterns are slow
        return False
    # Beside a Han character or kana a Latin word may stand without a blank.
    letter = f"(?:'|[^\\W{HAN}\u3040-\u30ff])"
    before = "" if UNSPACED.match(phrase[0]) else f"(?<!{letter})"
    after = "" if UNSPACED.match(phrase[-1]) else f"(?!{letter})"
    return re.search(before + re.escape(phrase) + after, text) is not None


def leak_counter(
    path: str, language: Language, transcripts: Mapping[str, str]
) -> Callable[[Mapping[str, str]], dict[str, float]]:
    """Give the function from answers (id -> text) to what `count_leaks` says of those that have a transcript."""
    phrases = read_phrases(path, language)

    def count(answers: Mapping[str, str]) -> dict[str, float]:
        pairs = ((transcripts[utt], text) for utt, text in answers.items() if utt in transcripts)
        return count_leaks(phrases, pairs, language)

    return count


def count_leaks(phrases: Iterable[str], pairs: Iterable[tuple[str, str]], language: Language) -> dict[str, float]:
    """Compare normalised (transcript, answer) pairs: what the list found, and what it put where nobody had said it.

    Gives utterances; spoken: hot words in transcripts, each counted once an utterance; found: those of them that the
    answer has; leaked: utterances whose answer has a hot word that the transcript has not; leak_rate: leaked / utterances.
    """
    known = list(phrases)
    utterances = spoken = found = leaked = 0
    for written, answered in pairs:
        said, put = (
            {phrase for phrase in known if contains(text, phrase)}
            for text in (normalize(written, language), normalize(answered, language))
        )
        utterances, spoken, found = utterances + 1, spoken + len(said), found + len(said & put)
        leaked += bool(put - said)
    rate = round(leaked / utterances, 6) if utterances else 0.0
    return {"utterances": utterances, "spoken": spoken, "found": found, "leaked": leaked, "leak_rate": rate}
