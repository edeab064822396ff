"""A trained experiment made ready to recognise: batch in, texts with scores out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.ctc import ctc_greedy, ctc_prefix_beam
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.io.expdir import ExpDir
from speechlm.models.build import model_kind
from speechlm.models.restore import restore


@dataclass(frozen=True)
class Result:
    """One hypothesis as text; `score` is the search's own, `tokens` what it is made of."""

    text: str
    score: float
    tokens: list[int]
    token_scores: list[float]


def search_options(decode: dict[str, Any]) -> SearchOptions:
    """Take the search's options out of the checked section `decode`."""
    return SearchOptions(**{option.name: decode[option.name] for option in fields(SearchOptions)})


class Recognizer:
    """Runs a model's search with the experiment's decoding options.

    decode: the checked section `decode`. units: decodes ids of the CTC head. words: decodes ids of the LLM.
    """

    def __init__(
        self,
        model: nn.Module,
        decode: dict[str, Any],
        *,
        units: Callable[[list[int]], str] | None = None,
        words: Callable[[list[int]], str] | None = None,
        kind: str = "ctc",
    ) -> None:
        self.model = model
        self.decode = decode
        self.units, self.words = units, words
        self.kind = kind if decode["kind"] == "auto" else decode["kind"]
        if self.kind == "llm" and not hasattr(model, "llm"):
            raise UserError("decode.kind: llm needs an experiment with an LLM; use ctc")

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def recognize(self, batch: Batch) -> list[list[Result]]:
        """Give the N best results of every utterance, the best first."""
        output = self.model.encode(batch.to(self.device).speech)
        if self.kind == "ctc":
            return [[self._result(h, self.units) for h in hypotheses] for hypotheses in self._ctc(output)]
        return [[self._result(h, self.words) for h in hypotheses] for hypotheses in self._llm(output, batch)]

    def _ctc(self, output: Any) -> list[list[Hypothesis]]:
        if output.ctc_logits is None:
            raise UserError("decode.kind: ctc needs a trained CTC head, this experiment has none; use llm")
        if self.decode["beam"] == 1:
            return [[hypothesis] for hypothesis in ctc_greedy(output.ctc_logits)]
        return ctc_prefix_beam(output.ctc_logits, beam=self.decode["beam"], nbest=self.decode["nbest"])

    def _llm(self, output: Any, batch: Batch) -> list[list[Hypothesis]]:
        from speechlm.decoding.llm import LLMBeamSearch

        model, options = self.model, search_options(self.decode)
        search = LLMBeamSearch(model.llm.model, model.llm.embed, model.prompt.end[:1], options)
        limits = [options.max_tokens(seconds) for seconds in self._seconds(batch)]
        return search.search(model.prompts(output.speech_embeddings), limits)

    def _seconds(self, batch: Batch) -> list[float]:
        """Durations of the audio; a unit of text-only input counts for 0.2 s."""
        return [
            s if s > 0 else 0.2 * n for s, n in zip(batch.seconds.tolist(), batch.speech.lens.tolist(), strict=True)
        ]

    def _result(self, hypothesis: Hypothesis, decode: Callable[[list[int]], str] | None) -> Result:
        assert decode is not None
        return Result(decode(hypothesis.tokens), hypothesis.score, hypothesis.tokens, hypothesis.token_scores)


def load_recognizer(
    place: Path | str, overrides: dict[str, Any], device: str = "auto"
) -> tuple[Recognizer, dict[str, Any]]:
    """Load a finished experiment's folder; `overrides` replaces members of its section `decode`.

    Gives the recogniser and the experiment's checked options (what the data must look like).
    """
    exp = ExpDir(place)
    model, values = restore(place)
    decode = {**values["decode"], **overrides}
    units = words = None
    if exp.tokens.exists():
        from speechlm.text.tokens import load_tokenizer

        units = load_tokenizer(exp.tokens).decode
    if values.get("llm"):
        words = llm_text(values["llm"]["checkpoint"], exp)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = "llm" if model_kind(values) == "speech_llm" else model_kind(values)
    return Recognizer(model.to(device), decode, units=units, words=words, kind=kind), values


def llm_text(checkpoint: str, exp: ExpDir | None = None) -> Callable[[list[int]], str]:
    """Give the function from an LLM's tokens to text; the tokenizer must be the one of the training."""
    from speechlm.llms.tokenizer import load_llm_tokenizer, tokenizer_hash

    tokenizer = load_llm_tokenizer(checkpoint)
    stored = exp.read_json(exp.bases).get("tokenizer") if exp else None
    if stored and stored != tokenizer_hash(tokenizer):
        raise UserError(
            f"{checkpoint}: its tokenizer is not the one that {exp.path} was trained with; put the original back"
        )

    def text(ids: list[int]) -> str:
        # Invalid UTF-8 of byte tokens becomes U+FFFD, which is no text: it is taken out and the rest is kept.
        return (
            tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            .replace("\ufffd", "")
            .strip()
        )

    return text
