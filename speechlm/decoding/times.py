"""When each word or character was said, and how sure the CTC head is of it: its alignment of the best hypothesis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.ctc_align import Span, align
from speechlm.io.expdir import ExpDir
from speechlm.models.build import model_kind
from speechlm.text.normalize import normalize
from speechlm.text.tokens import SPACE, UNK_ID, Tokenizer
from speechlm.text.words import stands_alone


@dataclass(frozen=True)
class TimedWord:
    """A word or character: start and duration in seconds, and the mean posterior of its units, 0 to 1."""

    word: str
    start: float
    seconds: float
    confidence: float


@dataclass(frozen=True)
class Times:
    """The words of a hypothesis, or why there are none (`reason`); an empty hypothesis has no words and no reason."""

    words: list[TimedWord]
    reason: str | None = None


def grouped(spelled: list[str | None], unit: str) -> list[tuple[str, list[int]]]:
    """Put units together to words (or characters): the word, and the places of its units.

    spelled: what each unit adds to the text, a space where a word ends or begins; None for a unit that leaves nothing.
    """
    found: list[tuple[str, list[int]]] = []
    inside = False
    for place, added in enumerate(spelled):
        if added is None:
            continue
        word = added.strip()
        if not word:
            inside = False
            continue
        joins = inside and added[0] != " " and unit == "word"
        if joins and not (stands_alone(word[0]) or stands_alone(found[-1][0][-1])):
            found[-1] = (found[-1][0] + word, [*found[-1][1], place])
        else:
            found.append((word, [place]))
        inside = added[-1] != " "
    return found


class WordTimes:
    """Gives the times of the words of a text, in the normalised form that scoring reads.

    tokenizer: units of the CTC head. seconds_per_step: of the encoder. unit: "word" (between spaces; a Han character or
    kana is a word of its own) or "char". The confidence of a word is the mean over its units of exp(mean log posterior
    of the unit's frames): the CTC head's own opinion, also where an LLM wrote the text.

    Raises UserError where the units cannot tell what is asked for.
    """

    def __init__(self, tokenizer: Tokenizer, seconds_per_step: float, unit: str) -> None:
        if not tokenizer.spells_text:
            raise UserError(
                f"decode.times: the CTC head's units are {tokenizer.kind} and do not spell the text; set it to none"
            )
        if unit == "char" and tokenizer.kind != "char":
            raise UserError(
                f"decode.times: char needs a CTC head on characters, its units are {tokenizer.kind}; use word"
            )
        if not seconds_per_step > 0:
            raise UserError("decode.times: this experiment's encoder hears no audio; set it to none")
        self.tokenizer, self.seconds_per_step, self.unit = tokenizer, seconds_per_step, unit

    def of(self, logits: Tensor, said: str | list[int], seconds: float) -> Times:
        """Align what was said in audio of so many seconds to its logits (T, V).

        said: a text, or the units that a CTC search has found itself; an unknown one among these takes its time and
        leaves no word, as it leaves none in the text.
        """
        tokens = self.tokenizer
        if isinstance(said, str):
            pieces: list[str | None] = [*tokens.split(normalize(said, tokens.language))]
            ids = [tokens.ids.get(piece or "", UNK_ID) for piece in pieces]
        else:
            ids, pieces = said, [None if i == UNK_ID else tokens.units[i] for i in said]
        needed = len(ids) + sum(a == b for a, b in pairwise(ids))  # a blank stands between equal units
        if needed > len(logits):
            return Times([], f"{len(ids)} units need {needed} encoder steps, there are {len(logits)}")
        spans = align(Seq(logits[None], torch.tensor([len(logits)], device=logits.device)), [ids])[0]
        words = grouped([self._spelled(piece) for piece in pieces], self.unit)
        return Times([self._word(word, [spans[i] for i in places], seconds) for word, places in words])

    def _spelled(self, piece: str | None) -> str | None:
        if piece is None:
            return None
        return f" {piece}" if self.tokenizer.kind == "word" else piece.replace(SPACE, " ")

    def _word(self, word: str, spans: list[Span], seconds: float) -> TimedWord:
        start = min(spans[0].start * self.seconds_per_step, seconds)
        end = min(spans[-1].end * self.seconds_per_step, seconds)
        confidence = sum(math.exp(span.score) for span in spans) / len(spans)
        return TimedWord(word, round(start, 4), round(max(0.0, end - start), 4), round(min(1.0, confidence), 4))


def ctc_is_trained(values: dict[str, Any], seen: tuple[str, ...] = ()) -> bool:
    """Tell from an experiment's checked options whether its CTC head was trained, here or where it started from."""
    losses = values.get("losses") or ([{"kind": "ctc", "weight": 1.0}] if model_kind(values) == "ctc" else [])
    if model_kind(values) == "transducer":
        return False
    if any(loss["kind"] == "ctc" and loss["weight"] for loss in losses):
        return True
    earlier = [path for path in values.get("train", {}).get("start_from", []) if path not in seen]
    return any(
        ctc_is_trained(ExpDir(path).read_options(), (*seen, path))
        for path in earlier
        if Path(path, "options.yaml").exists()
    )


def make_times(values: dict[str, Any], model: Any, tokenizer: Tokenizer | None, unit: str) -> WordTimes | None:
    """Make the object for the option `decode.times`; None for "none".

    Raises UserError when the experiment has no trained CTC head, or one whose units cannot tell.
    """
    if unit == "none":
        return None
    if tokenizer is None or getattr(model, "head", None) is None or not ctc_is_trained(values):
        raise UserError(
            "decode.times: the experiment has no trained CTC head to align with; "
            "train one (losses: [..., {kind: ctc, weight: 0.3}]) or set it to none"
        )
    return WordTimes(tokenizer, model.encoder.seconds_per_step, unit)
