"""Lists of phrases for the LLM's prompt, drawn at random while training: a model learns to read them, and to doubt them.

As Pundak et al. (SLT 2018, "Deep context") train attention over phrases: n-grams of the utterance's own transcript among
n-grams of others, and now and then no list at all, so that a phrase of the list may be spoken and need not be.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from speechlm.core.errors import UserError
from speechlm.text.prompt import HOT
from speechlm.text.words import ALONE, stands_alone

UNIT = re.compile(f"{ALONE.pattern}|[^\\s{ALONE.pattern[1:-1]}]+")
"""A character that stands alone (Han, kana), or a word of a script with blanks."""
CHARACTERS, WORDS = (2, 6), (1, 3)
"""Fewest and most units of a phrase that begins with such a character, or with a word."""


@dataclass(frozen=True)
class HotListOptions:
    """How a list of phrases that may be spoken stands in the prompt's slot `{hot}`, and how often in training.

    Raises UserError with name, rule and value for options that are out of range.

    Options:
        hot_share: share of the training utterances that get a list of phrases, 0 to 1; above 0 if `prompt` has the slot
            {hot}, else 0.
        hot_max: phrases of a list in training at the most; some are of the utterance's own transcript, some of others.
        hot_template: what stands in the slot {hot}, the phrases in the place of {words}; an empty list leaves nothing.
        hot_join: what stands between two phrases.
    """

    hot_share: float = 0.0
    hot_max: int = 8
    hot_template: str = "{words}"
    hot_join: str = ", "

    def __post_init__(self) -> None:
        if not 0 <= self.hot_share <= 1:
            raise UserError(f"text.hot_share: must be 0 to 1, is {self.hot_share}")
        if self.hot_max < 1:
            raise UserError(f"text.hot_max: must be 1 or more, is {self.hot_max}")
        if not self.hot_join:
            raise UserError("text.hot_join: must not be empty, or the phrases run into each other; take ', '")


def hot_list_options(text: dict[str, Any], *, llm: bool = True) -> HotListOptions:
    """Take the options of lists out of the section `text`; an experiment of before they were there has the defaults.

    llm: the experiment has an LLM that reads the prompt. Raises UserError where the prompt and the options do not agree
    on whether there are lists.
    """
    plain = HotListOptions()
    options = HotListOptions(**{one.name: text.get(one.name, one.default) for one in fields(HotListOptions)})
    if llm and HOT in text["prompt"]:
        if not options.hot_share:
            raise UserError(
                f"text.hot_share: is 0, but text.prompt has the slot {HOT}: the LLM would never see a list; set it to "
                "0.5, say"
            )
        return options
    for name in (one.name for one in fields(HotListOptions) if getattr(options, one.name) != getattr(plain, one.name)):
        reason = (
            f"text.prompt has no slot {HOT}; put it in front of {{speech}}" if llm else "there is no LLM to read it"
        )
        raise UserError(f"text.{name}: is {getattr(options, name)!r}, but {reason}, or take the option out")
    return options


class HotLists:
    """Draws the list of an utterance; the same (seed, utterance, epoch) gives the same one in every process.

    texts: the transcripts of the training sets, (how many, the function from 0, 1, … to a transcript) of each. write: from
    phrases to what stands in the prompt, in tokens of the LLM.
    """

    def __init__(
        self,
        options: HotListOptions,
        texts: Sequence[tuple[int, Callable[[int], str]]],
        write: Callable[[list[str]], list[int]],
    ) -> None:
        self.options, self.texts, self.write = options, list(texts), write

    def tokens(self, text: str, key: str) -> list[int]:
        """Give the tokens in the slot for an utterance with this transcript; key: of (seed, utterance, epoch)."""
        return self.write(self.phrases(text, key))

    def phrases(self, text: str, key: str) -> list[str]:
        """Draw the phrases: 1 to `hot_max` in `hot_share` of the utterances, of which 0 to all are of `text`."""
        chooser = random.Random(f"hot {key}")
        if chooser.random() >= self.options.hot_share:
            return []
        wanted = chooser.randint(1, self.options.hot_max)
        own = chooser.randint(0, wanted)
        found = dict.fromkeys(filter(None, (ngram(text, chooser) for _ in range(own))))
        most = len(found) + wanted - own
        for _ in range(4 * wanted):  # others may be empty (no speech), or have nothing that `text` has not
            if len(found) == most:
                break
            phrase = ngram(self._another(chooser), chooser)
            if phrase and phrase not in text:
                found[phrase] = None
        listed = list(found)
        chooser.shuffle(listed)
        return listed

    def _another(self, chooser: random.Random) -> str:
        """Read a transcript of any of the sets, all equally likely."""
        place = chooser.randrange(sum(count for count, _ in self.texts))
        for count, read in self.texts:
            if place < count:
                return read(place)
            place -= count
        raise AssertionError("a place behind the last text")


def ngram(text: str, chooser: random.Random) -> str:
    """Cut a few words out of a text, or a few characters where no blanks part words; "" of an empty text."""
    spans = [unit.span() for unit in UNIT.finditer(text)]
    if not spans:
        return ""
    first = chooser.randrange(len(spans))
    size = min(chooser.randint(*(CHARACTERS if stands_alone(text[spans[first][0]]) else WORDS)), len(spans))
    first = min(first, len(spans) - size)
    return text[spans[first][0] : spans[first + size - 1][1]]
