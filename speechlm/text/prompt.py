"""Prompt templates: where the speech stands among an LLM's tokens, and which tokens end the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from speechlm.core.errors import UserError

DEFAULT_TEMPLATE = "{bos}{speech}{text}{eos}"

SPEECH, TEXT, HOT, WORDS = "{speech}", "{text}", "{hot}", "{words}"
ROLES = ("{bos}", "{eos}")
SLOT = re.compile(r"(\{[^{}]*\})")
SPECIAL = re.compile(r"<\|[^<>|]+\|>|</?[A-Za-z_][\w.:-]*>|\[[A-Z][A-Z_0-9]*\]")


@dataclass(frozen=True)
class HotSlot:
    """Where a list of phrases stands in the prompt, and how it is written: `head`, the phrases, `tail`.

    part, at: it stands behind the first `at` tokens of the prompt's `before` or `between`. template: what head and tail
    were made of. join: what stands between two phrases.
    """

    part: Literal["before", "between"]
    at: int
    head: list[int]
    tail: list[int]
    template: str
    join: str

    def write(self, phrases: Sequence[str], encode: Callable[[str], list[int]]) -> list[int]:
        """Give the tokens in the slot; without phrases there are none. encode: text to the LLM's tokens."""
        return [*self.head, *encode(self.join.join(phrases)), *self.tail] if phrases else []


@dataclass(frozen=True)
class Prompt:
    """Token ids around the speech and the answer: `before`, speech, `between`, answer, `end`.

    The prompt is part of what a model has learnt, so it is stored in the checkpoint and compared when decoding.

    hot: where an utterance's list of phrases may stand among them; None where the template has no slot for it.
    """

    before: list[int]
    between: list[int]
    end: list[int]
    template: str = ""
    hot: HotSlot | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give what a checkpoint stores."""
        stored = asdict(self)
        if self.hot is None:
            stored.pop("hot")
        return stored

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Prompt:
        """Read what `to_dict` gave."""
        return Prompt(
            before=[int(i) for i in stored["before"]],
            between=[int(i) for i in stored["between"]],
            end=[int(i) for i in stored["end"]],
            template=str(stored["template"]),
            hot=HotSlot(**stored["hot"]) if stored.get("hot") else None,
        )

    def check_same(self, trained: Prompt) -> None:
        """Raise UserError if the model was trained with another prompt."""
        if self != trained:
            raise UserError(f"the prompt is {self._told()}, but the model was trained with {trained._told()}; use this")

    def _told(self) -> str:
        hot = f", {HOT} {self.hot}" if self.hot else ""
        return f"{self.template!r} ({self.before} … {self.between} … {self.end}{hot})"


class PromptTemplate:
    """A text with the slots {speech} and {text}, in this order, for instance `<s>{speech}[SEP]{text}</s>` (2312.03668).

    Between the slots stand special tokens of the tokenizer (`<s>`, `[SEP]`, `<|im_start|>` …), the roles {bos} (nothing
    for a tokenizer that has none, as Qwen's) and {eos}, and literal text, which the tokenizer encodes. What follows
    {text} ends the answer and must not be empty. Anywhere before {text} the slot {hot} may stand, once: there a list of
    phrases that may be spoken is written, utterance by utterance.

    list_template: how a list is written, with {words} in the place of its phrases. list_join: what stands between them.
    """

    def __init__(
        self, template: str = DEFAULT_TEMPLATE, *, list_template: str = WORDS, list_join: str = ", "
    ) -> None:
        self.template, self.list_template, self.list_join = template, list_template, list_join
        parts = [part for part in SLOT.split(template) if part]
        for part in parts:
            if SLOT.fullmatch(part) and part not in (SPEECH, TEXT, HOT, *ROLES):
                known = ", ".join((SPEECH, TEXT, HOT, *ROLES))
                raise UserError(f"prompt {template!r}: unknown slot {part}; use {known}")
        if parts.count(SPEECH) != 1 or parts.count(TEXT) != 1 or parts.index(SPEECH) > parts.index(TEXT):
            raise UserError(f"prompt {template!r}: needs {SPEECH} once and after it {TEXT} once")
        speech, text = parts.index(SPEECH), parts.index(TEXT)
        self._before, self._between, self._end = parts[:speech], parts[speech + 1 : text], parts[text + 1 :]
        if parts.count(HOT) > 1 or HOT in self._end:
            raise UserError(f"prompt {template!r}: {HOT} may stand once, before {TEXT}")
        if HOT in parts and [part for part in SLOT.split(list_template) if SLOT.fullmatch(part)] != [WORDS]:
            raise UserError(f"text.hot_template {list_template!r}: needs {WORDS} once and has no other slot")
        if not self._end:
            raise UserError(f"prompt {template!r}: nothing ends the answer; put {{eos}} or an end token after {TEXT}")

    def pieces(
        self,
        encode: Callable[[str], list[int]],
        special: Mapping[str, int],
        *,
        bos: int | None = None,
        eos: int | None = None,
    ) -> Prompt:
        """Turn the template into token ids.

        encode: literal text to ids, without any special token. special: the tokenizer's special tokens. bos, eos: the
        ids of the roles, None if the tokenizer has none. Raises UserError naming a piece that looks like a special
        token and is none.
        """

        # The tokenizer's own names count as special whatever they look like; longer ones first.
        names = [re.escape(name) for name in sorted(special, key=len, reverse=True)]
        marks = re.compile(f"({'|'.join([*names, SPECIAL.pattern])})")

        def ids(part: str) -> list[int]:
            if part == "{bos}":
                return [] if bos is None else [bos]
            if part == "{eos}":
                if eos is None:
                    raise UserError(f"prompt {self.template!r}: the tokenizer has no end token for {{eos}}; name one")
                return [eos]
            found = []
            for piece in filter(None, marks.split(part)):
                if piece in special:
                    found.append(special[piece])
                elif marks.fullmatch(piece):
                    known = ", ".join(sorted(special)[:20]) or "none"
                    raise UserError(f"prompt {self.template!r}: {piece} is no token of the tokenizer; it has {known}")
                else:
                    found += encode(piece)
            return found

        def join(parts: list[str]) -> list[int]:
            return [i for part in parts if part != HOT for i in ids(part)]

        def slot() -> HotSlot | None:
            name: Literal["before", "between"] = "before" if HOT in self._before else "between"
            parts = self._before if name == "before" else self._between
            if HOT not in parts:
                return None
            head, tail = map(ids, self.list_template.split(WORDS))
            return HotSlot(name, len(join(parts[: parts.index(HOT)])), head, tail, self.list_template, self.list_join)

        return Prompt(join(self._before), join(self._between), join(self._end), self.template, slot())

    def to_dict(self) -> dict[str, str]:
        """Give what a checkpoint or a configuration stores."""
        return {"template": self.template}

    @staticmethod
    def from_dict(stored: Mapping[str, str]) -> PromptTemplate:
        """Read what `to_dict` gave."""
        return PromptTemplate(stored["template"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PromptTemplate) and self.template == other.template

    def __hash__(self) -> int:
        return hash(self.template)

    def __repr__(self) -> str:
        return f"PromptTemplate({self.template!r})"
