"""The CTC head as a witness: does the LLM's answer say about what the CTC head heard?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kaldialign import edit_distance

from speechlm.text.tokens import Tokenizer


@dataclass(frozen=True)
class Doubt:
    """Why an answer is doubted: kind is invented (CTC heard nothing), lost (the answer is empty), long, short or far.

    answer, heard: numbers of units. distance: edits between them.
    """

    kind: str
    answer: int
    heard: int
    distance: int


def ctc_doubt(
    answer: Sequence[int | str],
    heard: Sequence[int | str],
    *,
    length_ratio: float = 2.0,
    distance_ratio: float = 0.6,
    slack: int = 3,
) -> Doubt | None:
    """Compare an answer with what the CTC head says greedily, in the same units; None if nothing is wrong.

    An LLM that loops, refuses or invents is far from its own encoder, which cannot do any of that (the check that
    users of Fun-ASR asked for, QwenAudio/Fun-ASR issue 15). The answer is doubted when one of the two is empty and
    the other has more than `slack` units; when it is more than length_ratio times as long as what was heard, or as
    short; or when the edits are more than distance_ratio of the longer one. Differences of up to `slack` units are
    never doubted.
    """
    longer, shorter = max(len(answer), len(heard)), min(len(answer), len(heard))
    if longer <= slack:
        return None
    distance = int(edit_distance(list(heard), list(answer))["total"])

    def doubt(kind: str) -> Doubt:
        return Doubt(kind, len(answer), len(heard), distance)

    if not heard:
        return doubt("invented")
    if not answer:
        return doubt("lost")
    if longer - shorter > slack and longer > length_ratio * shorter:
        return doubt("long" if len(answer) > len(heard) else "short")
    if distance > slack and distance > distance_ratio * longer:
        return doubt("far")
    return None


class Witness:
    """Compares an LLM's answers with the CTC head, in the head's units.

    kind: of the units. encode: text to units.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.kind, self.encode = tokenizer, tokenizer.kind, tokenizer.encode

    def hear(self, answer: str, heard: Sequence[int]) -> dict[str, Any]:
        """Give {"text": what was heard greedily, "doubt": why the answer is doubted or None, "distance": edits}."""
        text = self.tokenizer.decode(list(heard))
        # The pieces that bpe heard may spell a word otherwise than the tokenizer would.
        units = self.encode(text) if self.kind == "bpe" else list(heard)
        doubt = ctc_doubt(self.encode(answer), units)
        return {"text": text, "doubt": doubt.kind if doubt else None, "distance": doubt.distance if doubt else None}
