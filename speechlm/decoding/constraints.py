"""What a beam search may and may not do, and the same said in the words of Hugging Face `generate`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from speechlm.core.errors import UserError


@dataclass(frozen=True)
class SearchOptions:
    """Options of the LLM's beam search; bans, penalties and limits see the generated tokens only, never the prompt.

    Raises UserError with name, rule and value for an option out of its range.

    Options:
        beam: hypotheses kept at every step; 1 is greedy search.
        length_penalty: scores are divided by length ** length_penalty; they are negative, so above 0 favours longer
            answers, below 0 shorter ones; greedy search chooses without it.
        no_repeat_ngram: no run of this many units may occur twice in an answer; 0 allows every repetition.
        no_repeat_unit: what no_repeat_ngram counts, tokens or characters; characters for Chinese and Japanese, where
            one character may be several tokens of one byte.
        valid_text: never generate bytes that are no UTF-8; needs to know what each token spells.
        repetition_penalty: log probabilities of tokens that were already generated are multiplied by this; 1 is off.
        max_tokens_per_second: tokens an answer may have for each second of audio.
        max_tokens_extra: tokens an answer may have besides.
        min_tokens: the end token is banned before this many tokens.
        nbest: hypotheses given back, at most beam.
        batch_slots: utterances decoded together; changes speed and memory, never the result.
        graphs: run every step at fixed shapes, over all slots, so that a GPU replays it as one CUDA graph; saves the start of
            hundreds of kernels a step, changes speed and memory, never the result; on a CPU it only costs.
        early_stopping: when an utterance ends; true at the first `beam` finished hypotheses, false when the best
            running one cannot win at its present length, "never" when it cannot win at any length.
    """

    beam: int = 4
    length_penalty: float = 1.0
    no_repeat_ngram: int = 0
    no_repeat_unit: Literal["token", "character"] = "token"
    valid_text: bool = False
    repetition_penalty: float = 1.0
    max_tokens_per_second: float = 8.0
    max_tokens_extra: int = 10
    min_tokens: int = 0
    nbest: int = 1
    batch_slots: int = 16
    graphs: bool = False
    early_stopping: bool | Literal["never"] = False

    def __post_init__(self) -> None:
        for name in ("beam", "nbest", "batch_slots", "max_tokens_extra", "no_repeat_ngram", "min_tokens"):
            value, low = getattr(self, name), 0 if name in ("no_repeat_ngram", "min_tokens") else 1
            if value < low:
                raise UserError(f"{name}: must be at least {low}, is {value}")
        if self.nbest > self.beam:
            raise UserError(f"nbest: must be at most beam ({self.beam}), is {self.nbest}")
        if not self.repetition_penalty > 0:
            raise UserError(f"repetition_penalty: must be above 0 (1 is off), is {self.repetition_penalty}")
        if not self.max_tokens_per_second >= 0:
            raise UserError(f"max_tokens_per_second: must be 0 or more, is {self.max_tokens_per_second}")
        if self.no_repeat_unit not in ("token", "character"):
            raise UserError(f"no_repeat_unit: must be token or character, is {self.no_repeat_unit!r}")
        if self.early_stopping not in (True, False, "never"):
            raise UserError(f"early_stopping: must be true, false or never, is {self.early_stopping!r}")

    @property
    def needs_spelling(self) -> bool:
        """Say if the search must know what each token spells."""
        return self.valid_text or (self.no_repeat_ngram > 0 and self.no_repeat_unit == "character")

    def max_tokens(self, seconds: float) -> int:
        """Give the limit of tokens, the end token included, of an answer to `seconds` of audio."""
        return math.ceil(seconds * self.max_tokens_per_second) + self.max_tokens_extra


def suffix_options_for_hf(options: SearchOptions, max_tokens: int) -> dict[str, Any]:
    """Say `options` as keyword arguments of a Hugging Face `GenerationConfig`, for prompts given as embeddings.

    With `inputs_embeds` its bans and penalties see the generated tokens only, as ours do, and its `max_new_tokens`
    counts the end token, as `max_tokens` does. Raises UserError that names an option which `generate` cannot honour.
    """
    if options.no_repeat_ngram and options.no_repeat_unit != "token":
        raise UserError(f"no_repeat_unit: Hugging Face generate bans tokens only, is {options.no_repeat_unit!r}")
    if options.valid_text:
        raise UserError("valid_text: Hugging Face generate cannot keep tokens from spelling broken UTF-8")
    words: dict[str, Any] = {
        "do_sample": False,
        "num_beams": options.beam,
        "num_return_sequences": options.nbest,
        "max_new_tokens": max_tokens,
        "min_new_tokens": options.min_tokens,
        "no_repeat_ngram_size": options.no_repeat_ngram,
        "repetition_penalty": float(options.repetition_penalty),
    }
    if options.beam > 1:
        words |= {"length_penalty": options.length_penalty, "early_stopping": options.early_stopping}
    return words
