"""Switchboard's and Fisher's transcripts to plain words: events, partial words, laughter, spelled acronyms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

EVENT = re.compile(r"\[(laughter|noise|vocalized-noise|silence|[a-z]*_?noise|breath|lipsmack|cough|sigh|mn|skip)\]", re.I)
LAUGHED = re.compile(r"\[laughter-(.+)\]", re.I)
EITHER = re.compile(r"\[([^\[\]/]+)/[^\[\]]+\]")
CUT_END = re.compile(r"([\w']+)\[[^\]]*\]-")
CUT_START = re.compile(r"-\[[^\]]*\]([\w']+)")
MARK = re.compile(r"</?[a-z]+_?[a-z]*>", re.I)
ACRONYM = re.compile(r"([A-Z]{2,})('s|s|'S)?")


def plain_words(text: str, spelled: dict[str, str] | None = None) -> str:
    """Bring a line of the Mississippi State transcripts to words, as Kaldi's recipe does in effect.

    `[laughter]`, `[noise]` and the like leave nothing; `[laughter-yes]` is yes; of `[it'n/isn't]` the spoken form
    stays; `ammu[nition]-` is ammu- and `-[an]y` is -y; `them_1` is them and `{yuppiedom}` its inside; acronyms are the
    letters of `spelled`, as `IBM's` -> `i b m's`. The result is in lower case.
    """
    words = (_word(word, spelled or {}) for word in MARK.sub(" ", text).split())
    return " ".join(word for word in words if word)


def _word(word: str, spelled: dict[str, str]) -> str:
    if EVENT.fullmatch(word):
        return ""
    for pattern, kept in ((LAUGHED, r"\1"), (EITHER, r"\1"), (CUT_END, r"\1-"), (CUT_START, r"-\1")):
        word = pattern.sub(kept, word)
    word = re.sub(r"_\d+$", "", word.strip("{}")).strip("[]")
    found = ACRONYM.fullmatch(word)
    if found and found.group(1) in spelled:
        return f"{spelled[found.group(1)]}{_ending(found.group(2))}"
    return word.lower() if re.search(r"\w", word) else ""


def _ending(ending: str | None) -> str:
    """The plural and the possessive of a letter are both written 's."""
    return "'s" if ending else ""


def spelled_acronyms(dictionary: Path) -> dict[str, str]:
    """Find in `sw-ms98-dict.text` the words in capitals that are pronounced letter by letter: `IBM` -> `i b m`.

    NASA and its like, pronounced as words, are not among them. A letter's pronunciation is that of its own entry.
    """
    entries: dict[str, list[str]] = {}
    for line in dictionary.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        if len(fields) > 1 and not line.startswith(("//", "#", ";")):
            entries.setdefault(fields[0], fields[1:])
    letters = {name.upper(): phones for name, phones in entries.items() if len(name) == 1 and name.isalpha()}
    letters |= {name[0].upper(): phones for name, phones in entries.items() if re.fullmatch(r"[A-Za-z]\.", name)}
    found = {}
    for word, phones in entries.items():
        known = re.fullmatch(r"[A-Z]{2,}", word) and all(letter in letters for letter in word)
        if known and [phone for letter in word for phone in letters[letter]] == phones:
            found[word] = " ".join(word.lower())
    return found


def fisher_words(text: str) -> str | None:
    """Bring a line of the Fisher transcripts to words; None where a part could not be understood.

    `((words))` and `[[skip]]` are guesses: such lines are left out, as in Kaldi's recipe. `t._v.` is `t v`.
    """
    if "((" in text or "[[" in text:
        return None
    text = text.replace("._", " ").replace("_", " ")
    text = re.sub(r"\b([a-z])\.(?=\s|'|$)", r"\1", text, flags=re.I)
    return plain_words(text)


def keep_at_most(texts: Iterable[tuple[str, str]], most: int) -> set[str]:
    """Choose ids so that no transcript comes more than `most` times (Kaldi's train_nodup has 300 `yeah`s, not 15,000)."""
    seen: dict[str, int] = {}
    kept = set()
    for name, text in texts:
        seen[text] = seen.get(text, 0) + 1
        if not most or seen[text] <= most:
            kept.add(name)
    return kept
