"""Options of what helps the LLM's search besides the CTC score: another LM, hot words, drafts; no torch here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from speechlm.core.errors import UserError
from speechlm.io.hashes import content_hash, file_hash


@dataclass(frozen=True)
class AidOptions:
    """What else has a say in the LLM's search; every part is off unless it is asked for.

    Raises UserError with name, rule and value for options that are out of range or do not go together.

    Options:
        lm: another causal LM with the vocabulary of the experiment's LLM, as a folder (`speechlm export --llm` makes one) or
            a Hugging Face name.
        lm_weight: what the log probability of `lm` is multiplied by before it is added to the LLM's (shallow fusion); 0
            leaves it out.
        lm_prompt: what `lm` reads before the answer; {bos} is its own start token, or its end token where it has none.
        draft: ctc lets the LLM verify the CTC head's text many tokens at a time; the same greedy answer in fewer passes.
        hot_words: file of phrases that the search shall favour, one a line; a weight of its own may follow a tab.
        hot_weight: what every token of a hot word adds to the score (a log probability), times the phrase's own weight; 0
            adds nothing, for lists that are only written into the prompt.
        hot_prompt: write the hot words that the CTC head finds plausible into the prompt's slot {hot}, utterance by utterance.
        hot_distance: edits that a plausible phrase may be from the nearest part of the CTC head's text, as a share of its
            characters; 1 takes every phrase, and needs no CTC head.
        hot_most: phrases written into a prompt at the most, the nearest first; 0 takes as many as in training (text.hot_max).
    """

    lm: str | None = None
    lm_weight: float = 0.0
    lm_prompt: str = "{bos}"
    draft: Literal["none", "ctc"] = "none"
    hot_words: str | None = None
    hot_weight: float = 1.0
    hot_prompt: bool = False
    hot_distance: float = 0.5
    hot_most: int = 0

    def __post_init__(self) -> None:
        if self.lm_weight and self.lm is None:
            raise UserError(f"decode.lm_weight: is {self.lm_weight}, but decode.lm names no LM; give its folder")
        if self.draft not in ("none", "ctc"):
            raise UserError(f"decode.draft: must be none or ctc, is {self.draft!r}")
        if not self.hot_weight >= 0 or (self.hot_words and not self.hot_weight and not self.hot_prompt):
            raise UserError(
                f"decode.hot_weight: must be above 0, is {self.hot_weight}; take hot_words out to be without (0 goes with "
                "hot_prompt)"
            )
        if self.hot_prompt and not self.hot_words:
            raise UserError("decode.hot_prompt: is set, but decode.hot_words names no list; give its file")
        if not 0 <= self.hot_distance <= 1:
            raise UserError(f"decode.hot_distance: must be 0 to 1, is {self.hot_distance}")
        if self.hot_most < 0:
            raise UserError(f"decode.hot_most: must be 0 or more, is {self.hot_most}")

    @property
    def hot_bonus(self) -> bool:
        """Hot words have a bonus in the search."""
        return bool(self.hot_words and self.hot_weight)


OFF: dict[str, Any] = {"lm_weight": 0.0, "draft": "none", "hot_words": None, "hot_prompt": False}
"""What turns every aid off."""


def aid_options(decode: dict[str, Any]) -> AidOptions:
    """Take the aids out of the section `decode`; an experiment of before they were there has none."""
    return AidOptions(**{option.name: decode.get(option.name, option.default) for option in fields(AidOptions)})


def check_aids(kind: str, decode: dict[str, Any]) -> AidOptions:
    """Give the aids of a search of this kind; raise UserError for one that it cannot honour."""
    aids = aid_options(decode)
    asked = [name for name, off in OFF.items() if getattr(aids, name) != off]
    if kind != "llm" and asked:
        raise UserError(f"decode.{asked[0]}: only the LLM's search has it, this is the {kind} search; take it out")
    if aids.draft != "none":
        if decode["beam"] != 1:
            raise UserError(f"decode.draft: verifies greedy search only; set decode.beam to 1, is {decode['beam']}")
        others = [name for name in ("ctc_weight", "lm_weight") if decode.get(name)] + ["hot_words"] * aids.hot_bonus
        if others:
            raise UserError(f"decode.draft: cannot be had together with decode.{others[0]}; take one of them out")
    return aids


def without_idle(decode: dict[str, Any]) -> dict[str, Any]:
    """Leave the options of aids that are off out of the section `decode`, for those who read what was done."""
    idle = [] if decode.get("lm_weight") else ["lm", "lm_weight", "lm_prompt"]
    idle += [] if decode.get("hot_words") else ["hot_words", "hot_weight"]
    idle += [] if decode.get("hot_prompt") else ["hot_prompt", "hot_distance", "hot_most"]
    return {name: value for name, value in decode.items() if name not in idle}


def aid_hashes(decode: dict[str, Any]) -> dict[str, str]:
    """Hash the files that the aids read, so that what was decoded with others is not taken for the same."""
    aids, found = aid_options(decode), {}
    if aids.hot_words:
        if not Path(aids.hot_words).is_file():
            raise UserError(f"decode.hot_words: {aids.hot_words}: no such file")
        found["hot_words"] = file_hash(Path(aids.hot_words))
    if aids.lm and aids.lm_weight:
        found["lm"] = content_hash(aids.lm) if Path(aids.lm).exists() else aids.lm
    return found
