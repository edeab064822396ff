"""What was said before and after an utterance on the same side of a conversation, within a budget of tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from speechlm.core.errors import UserError

Direction = Literal["both", "past", "future"]


@dataclass(frozen=True)
class Context:
    """Token ids right before and right after an utterance, in the order of time."""

    past: list[int]
    future: list[int]


def conversation_sides(
    utterances: Iterable[str],
    *,
    segments: Mapping[str, str] | None = None,
    utt2spk: Mapping[str, str] | None = None,
) -> list[list[str]]:
    """Group utterances by side of a conversation and order each side in time.

    With `segments` (Kaldi's table: id -> "recording start end") a side is a recording, as in Switchboard, where each
    channel is one; with `utt2spk` besides, it is a speaker of a recording. Without `segments` it is a speaker of
    `utt2spk`, in the order of the ids, as chapters of a book are numbered.

    Raises UserError for an utterance that a table lacks or a segment that is not "recording start end".
    """
    if segments is None and utt2spk is None:
        raise UserError("context: needs segments or utt2spk to know which utterances follow each other")
    sides: dict[tuple[str, str], list[tuple[float, float, str]]] = defaultdict(list)
    for utterance in utterances:
        recording, start, end = ("", 0.0, 0.0) if segments is None else _segment(utterance, segments)
        speaker = "" if utt2spk is None else _of(utterance, utt2spk, "utt2spk")
        sides[recording, speaker].append((start, end, utterance))
    return [[utterance for *_, utterance in sorted(side)] for _, side in sorted(sides.items())]


def _of(utterance: str, table: Mapping[str, str], name: str) -> str:
    if utterance not in table:
        raise UserError(f"{name}: has no line for '{utterance}', which context needs; run utils/fix_data_dir.sh")
    return table[utterance]


def _segment(utterance: str, segments: Mapping[str, str]) -> tuple[str, float, float]:
    fields = _of(utterance, segments, "segments").split()
    try:
        recording, start, end = fields[0], float(fields[1]), float(fields[2])
    except (IndexError, ValueError):
        raise UserError(
            f"segments: '{utterance}' must have recording, start and end, has '{' '.join(fields)}'"
        ) from None
    return recording, start, end


class ConversationContext:
    """Past and future of an utterance, cut to a budget of tokens (arXiv 2309.04031, section 3.2: 60 tokens).

    The budget is the total: half goes to each direction, and what one cannot use goes to the other. The tokens nearest
    to the utterance are kept, across as many utterances as they reach. Sides are never mixed.

    sides: utterance ids of each side, in order. texts: transcript of each utterance. encode: text to the teacher's ids,
    without special tokens. Raises UserError for a negative budget or an unknown direction.
    """

    def __init__(
        self,
        sides: Iterable[Sequence[str]],
        texts: Mapping[str, str],
        encode: Callable[[str], list[int]],
        *,
        budget: int = 60,
        direction: Direction = "both",
    ) -> None:
        if budget < 0:
            raise UserError(f"context: the budget must be >= 0 tokens, is {budget}")
        if direction not in ("both", "past", "future"):
            raise UserError(f"context: direction must be both, past or future, is '{direction}'")
        self.texts, self.encode, self.budget, self.direction = texts, encode, budget, direction
        self.places = {utterance: (side, place) for side in sides for place, utterance in enumerate(side)}

    def of(self, utterance: str) -> Context:
        """Give the context of an utterance; an utterance that is on no side has none."""
        if utterance not in self.places or not self.budget:
            return Context([], [])
        side, place = self.places[utterance]
        past = self._past(side[:place]) if self.direction != "future" else []
        future = self._future(side[place + 1 :]) if self.direction != "past" else []
        half = self.budget // 2
        for_past = max(self.budget - len(future), half)
        kept = past[max(0, len(past) - for_past) :]
        return Context(kept, future[: self.budget - len(kept)])

    def _past(self, before: Sequence[str]) -> list[int]:
        """The last `budget` tokens before, at the most."""
        tokens: list[int] = []
        for utterance in reversed(before):
            tokens = self.encode(self.texts.get(utterance, "")) + tokens
            if len(tokens) >= self.budget:
                break
        return tokens[max(0, len(tokens) - self.budget) :]

    def _future(self, after: Sequence[str]) -> list[int]:
        """The first `budget` tokens after, at the most."""
        tokens: list[int] = []
        for utterance in after:
            tokens += self.encode(self.texts.get(utterance, ""))
            if len(tokens) >= self.budget:
                break
        return tokens[: self.budget]
