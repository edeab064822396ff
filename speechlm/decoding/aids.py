"""The aids of the LLM's search made ready: another LM, hot words, the CTC head's text as a draft."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from speechlm.core.errors import UserError
from speechlm.decoding.aid_options import AidOptions, aid_options
from speechlm.decoding.fusion import LMFusion
from speechlm.decoding.hot_phrases import read_phrases, spellings
from speechlm.decoding.hot_plausible import HotPrompt
from speechlm.decoding.hot_words import HotWords, Spelt
from speechlm.text.hot_list import hot_list_options
from speechlm.text.normalize import Language
from speechlm.text.prompt import HOT, Prompt

LOGGER = logging.getLogger(__name__)


@dataclass
class Aids:
    """What the section `decode` asks for, loaded; None where it asks for nothing.

    loaded, source: the LM in memory, also while its weight is 0, and the folder or name it came from. encode: text to the
    LLM's tokens, as answers are encoded. listed: chooses the hot words that are written into the prompt.
    """

    lm: LMFusion | None = None
    loaded: LMFusion | None = None
    source: str | None = None
    hot: HotWords | None = None
    encode: Callable[[str], list[int]] | None = None
    listed: HotPrompt | None = None


def load_aids(
    values: dict[str, Any],
    decode: dict[str, Any],
    model: Any,
    pieces: Sequence[bytes] | None,
    known: Aids | None = None,
) -> Aids:
    """Load what the section `decode` asks for beside the search of an experiment with an LLM.

    values: the experiment's checked options. model: its SpeechLLM. pieces: the bytes of the LLM's tokens, for hot words.
    known: aids whose LM may be taken over. Raises UserError for an LM of other tokens and a list of hot words that
    cannot be used.
    """
    from speechlm.llms.tokenizer import encode_text, load_llm_tokenizer

    options, language = aid_options(decode), values["text"]["language"]
    tokenizer = load_llm_tokenizer(values["llm"]["checkpoint"])
    made = Aids(encode=lambda text: encode_text(tokenizer, text))
    if known is not None and known.source == options.lm:
        made.loaded, made.source = known.loaded, known.source
    if options.lm and options.lm_weight:
        if made.loaded is None:
            device = next(model.parameters()).device
            made.loaded, made.source = load_lm(options, tokenizer, model.prompt.end[:1], device), options.lm
        made.lm = made.loaded.reweighted(options.lm_weight)
    phrases = read_phrases(options.hot_words, language) if options.hot_words else {}
    if options.hot_bonus:
        assert pieces is not None and made.encode is not None
        made.hot = HotWords(_spelt(phrases, options.hot_weight, made.encode, pieces, language))
    if options.hot_prompt:
        assert made.encode is not None
        made.listed = _listed(phrases, options, values["text"], model.prompt, made.encode)
    return made


def _listed(
    phrases: dict[str, float], options: AidOptions, text: dict[str, Any], prompt: Prompt, encode: Callable[[str], list[int]]
) -> HotPrompt:
    """Make what writes hot words into the prompt; UserError where the prompt that was trained has no place for them."""
    slot = prompt.hot
    if slot is None:
        raise UserError(
            f"decode.hot_prompt: the model was trained with the prompt {prompt.template!r}, which has no slot {HOT}; train "
            f"with one (text.prompt), or set hot_prompt to false"
        )
    most = options.hot_most or hot_list_options(text).hot_max
    return HotPrompt(phrases, lambda chosen: slot.write(chosen, encode), language=text["language"],
                     distance=options.hot_distance, most=most)  # fmt: skip


def load_lm(options: AidOptions, tokenizer: Any, end_ids: list[int], device: torch.device) -> LMFusion:
    """Load decode.lm for shallow fusion; UserError unless each of its tokens is the same token of the LLM."""
    from speechlm.llms.causal import CausalLLM
    from speechlm.llms.tokenizer import check_fits, load_llm_tokenizer, prompt_ids

    assert options.lm is not None
    own = load_llm_tokenizer(options.lm)
    check_same_tokens(options.lm, own, tokenizer)
    llm = CausalLLM(checkpoint=options.lm)
    check_fits(own, llm.vocab_size)
    end = own.eos_token_id
    if end is None:
        raise UserError(f"decode.lm: {options.lm}: its tokenizer names no end token (eos_token); put it into its files")
    if HOT in options.lm_prompt:
        raise UserError(f"decode.lm_prompt: is {options.lm_prompt!r}; only the LLM's own prompt may have the slot {HOT}")
    start = prompt_ids(own, f"{options.lm_prompt}{{speech}}{{text}}{{eos}}").before or [end]
    ends = {token: end for token in end_ids}
    return LMFusion(llm.model.eval().requires_grad_(False).to(device), llm.embed, start, options.lm_weight, ends)


def check_same_tokens(place: str, own: Any, other: Any) -> None:
    """Raise UserError, with the first difference, where two tokenizers do not give the same ids to the same tokens."""
    mine, theirs = own.get_vocab(), other.get_vocab()
    wrong = sorted(token for token in mine.keys() | theirs.keys() if mine.get(token) != theirs.get(token))
    if wrong:
        raise UserError(
            f"decode.lm: {place}: its tokens are not those of the experiment's LLM ({len(wrong)} differ, {wrong[0]!r} is "
            f"{mine.get(wrong[0])} and there {theirs.get(wrong[0])}); take an LM of the same vocabulary"
        )


def _spelt(
    phrases: dict[str, float],
    bonus: float,
    encode: Callable[[str], list[int]],
    pieces: Sequence[bytes],
    language: Language,
) -> list[Spelt]:
    """Give the spellings of all phrases with what each token earns; tokens of nothing but a blank earn nothing."""
    found, lost = [], []
    for phrase, weight in phrases.items():
        ways = spellings(phrase, encode, pieces, language)
        if not ways:
            lost.append(phrase)
        gains = [tuple(bonus * weight * solid for solid in way.solid) for way in ways]
        found += [Spelt(way.tokens, gain, way.at_start) for way, gain in zip(ways, gains, strict=True)]
    if lost:
        LOGGER.warning(
            "hot words: %d of %d hold characters that the LLM has no tokens for and are left out: %s%s",
            len(lost), len(phrases), ", ".join(lost[:5]), " ..." if len(lost) > 5 else "",
        )  # fmt: skip
    if not found:
        raise UserError("decode.hot_words: the LLM has tokens for none of the phrases; take another list")
    return found
