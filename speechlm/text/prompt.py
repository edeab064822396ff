"""Prompt templates: where the speech stands among an LLM's tokens, and which tokens end the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from speechlm.core.errors import UserError

DEFAULT_TEMPLATE = "{bos}{speech}{text}{eos}"

SPEECH, TEXT = "{speech}", "{text}"
ROLES = ("{bos}", "{eos}")
SLOT = re.compile(r"(\{[^{}]*\})")
SPECIAL = re.compile(r"<\|[^<>|]+\|>|</?[A-Za-z_][\w.:-]*>|\[[A-Z][A-Z_0-9]*\]")


@dataclass(frozen=True)
class Prompt:
    """Token ids around the speech and the answer: `before`, speech, `between`, answer, `end`.

    The prompt is part of what a model has learnt, so it is stored in the checkpoint and compared when decoding.
    """

    before: list[int]
    between: list[int]
    end: list[int]
    template: str = ""

    def to_dict(self) -> dict[str, str | list[int]]:
        """Give what a checkpoint stores."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: Mapping[str, str | list[int]]) -> Prompt:
        """Read what `to_dict` gave."""
        return Prompt(
            before=[int(i) for i in stored["before"]],
            between=[int(i) for i in stored["between"]],
            end=[int(i) for i in stored["end"]],
            template=str(stored["template"]),
        )

    def check_same(self, trained: Prompt) -> None:
        """Raise UserError if the model was trained with another prompt."""
        if self != trained:
            raise UserError(
                f"the prompt is {self.template!r} ({self.before} … {self.between} … {self.end}), but the model was "
                f"trained with {trained.template!r} ({trained.before} … {trained.between} … {trained.end}); use this"
            )


class PromptTemplate:
    """A text with the slots {speech} and {text}, in this order, for instance `<s>{speech}[SEP]{text}</s>` (2312.03668).

    Between the slots stand special tokens of the tokenizer (`<s>`, `[SEP]`, `<|im_start|>` …), the roles {bos} (nothing
    for a tokenizer that has none, as Qwen's) and {eos}, and literal text, which the tokenizer encodes. What follows
    {text} ends the answer and must not be empty.
    """

    def __init__(self, template: str = DEFAULT_TEMPLATE) -> None:
        self.template = template
        parts = [part for part in SLOT.split(template) if part]
        for part in parts:
            if SLOT.fullmatch(part) and part not in (SPEECH, TEXT, *ROLES):
                raise UserError(f"prompt {template!r}: unknown slot {part}; use {SPEECH}, {TEXT}, {', '.join(ROLES)}")
        if parts.count(SPEECH) != 1 or parts.count(TEXT) != 1 or parts.index(SPEECH) > parts.index(TEXT):
            raise UserError(f"prompt {template!r}: needs {SPEECH} once and after it {TEXT} once")
        speech, text = parts.index(SPEECH), parts.index(TEXT)
        self._before, self._between, self._end = parts[:speech], parts[speech + 1 : text], parts[text + 1 :]
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
            return [i for part in parts for i in ids(part)]

        return Prompt(join(self._before), join(self._between), join(self._end), self.template)

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
