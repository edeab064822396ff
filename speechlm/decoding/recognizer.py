"""A trained experiment made ready to recognise: batch in, texts with scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.decoding.aid_options import aid_options, check_aids
from speechlm.decoding.aids import Aids, load_aids
from speechlm.decoding.answers import Answer, Answers
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.ctc import ctc_greedy, ctc_prefix_beam
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.sanity import Witness
from speechlm.decoding.stopwatch import Stopwatch
from speechlm.decoding.times import Times, WordTimes, make_times
from speechlm.decoding.transducer import transducer_greedy
from speechlm.decoding.transducer_beam import transducer_beam
from speechlm.io.expdir import ExpDir
from speechlm.models.build import model_kind
from speechlm.models.restore import restore
from speechlm.text.prompt import Prompt


@dataclass(frozen=True)
class Result:
    """One hypothesis as text; `score` is the search's own, `tokens` what it is made of.

    ctc: what the CTC head, where there is one, says of the best answer of an LLM; see `Witness.hear`.
    times: of the words of the best answer, where `decode.times` asks for them.
    draft: forward passes of the LLM that the answer took, and `without` a draft, where `decode.draft` asks for one.
    listed: the hot words that stood in the prompt, where `decode.hot_prompt` asks for them.
    """

    text: str
    score: float
    tokens: list[int]
    token_scores: list[float]
    ctc: dict[str, Any] | None = None
    times: Times | None = None
    draft: dict[str, int] | None = None
    listed: list[str] | None = None


def search_options(decode: dict[str, Any]) -> SearchOptions:
    """Take the search's options out of the checked section `decode`."""
    return SearchOptions(**{option.name: decode[option.name] for option in fields(SearchOptions)})


class Recognizer:
    """Runs a model's search with the experiment's decoding options.

    decode: the checked section `decode`. units: decodes ids of the CTC head. words: decodes ids of the LLM. pieces: the
    bytes that the LLM's tokens spell (`llm_pieces`), for the options no_repeat_unit "character", valid_text and
    ctc_weight. witness: compares the LLM's answers with the CTC head. aids: another LM, hot words and drafts (`load_aids`).
    Raises UserError for an option that the chosen search cannot honour.
    """

    def __init__(
        self,
        model: nn.Module,
        decode: dict[str, Any],
        *,
        units: Callable[[list[int]], str] | None = None,
        words: Callable[[list[int]], str] | None = None,
        pieces: Sequence[bytes] | None = None,
        witness: Witness | None = None,
        aids: Aids | None = None,
        kind: str = "ctc",
    ) -> None:
        self.model = model
        self.decode = decode
        self.units, self.words, self.pieces, self.witness = units, words, pieces, witness
        self.times: WordTimes | None = None
        self.stopwatch = Stopwatch()
        self.kind = kind if decode["kind"] == "auto" else decode["kind"]
        if self.kind == "llm" and not hasattr(model, "llm"):
            raise UserError("decode.kind: llm needs an experiment with an LLM; use ctc")
        if self.kind == "transducer" and not hasattr(getattr(model, "head", None), "meet"):
            raise UserError("decode.kind: transducer needs an experiment with 'head: {kind: transducer}'")
        wanted, self.aids = check_aids(self.kind, decode), aids
        if self.kind != "llm":
            _refuse_llm_options(self.kind, decode)
        else:
            self.answers = Answers(
                model, search_options(decode), decode["ctc_weight"], wanted,
                pieces=pieces, witness=witness, aids=aids, stopwatch=self.stopwatch,
            )  # fmt: skip

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def recognize(self, batch: Batch) -> list[list[Result]]:
        """Give the N best results of every utterance, the best first."""
        found = dict(self.stream([batch]))
        return [found[number] for number in range(len(batch))]

    def stream(self, batches: Iterable[Batch]) -> Iterator[tuple[int, list[Result]]]:
        """Recognise all utterances of the batches: (number, N best results) of each as soon as they are known.

        number: its place among all. In the LLM's search utterances that have ended leave and others enter, over all batches;
        the other searches go batch by batch. What is decoded beside an utterance never changes its results.
        """
        if self.kind == "llm":
            for answer in self.answers.stream(batches):
                results = [self._result(h, self.words) for h in answer.hypotheses]
                yield answer.number, self._finished(results, answer)
            return
        number = 0
        for batch in batches:
            for results in self._batch(batch):
                yield number, results
                number += 1

    @torch.inference_mode()
    def _batch(self, batch: Batch) -> list[list[Result]]:
        with self.stopwatch.encoding(self.device):
            output = self.model.encode(batch.to(self.device).speech)
        found = self._transducer(output) if self.kind == "transducer" else self._ctc(output)
        results = [[self._result(h, self.units) for h in hypotheses] for hypotheses in found]
        return self._timed(output, results, batch.seconds.tolist())

    @torch.inference_mode()
    def _finished(self, results: list[Result], answer: Answer) -> list[Result]:
        """Put beside an LLM's best answer what the CTC head says of it, its words' times, and what its draft saved."""
        if not results:
            return results
        best = replace(results[0], draft=answer.draft, listed=answer.listed)
        if answer.logits is not None and self.witness is not None:
            best = replace(best, ctc=self.witness.hear(best.text, ctc_greedy(answer.logits)[0].tokens))
        if answer.logits is not None and self.times is not None:
            best = replace(best, times=self.times.of(answer.logits.data[0], best.text, answer.seconds))
        return [best, *results[1:]]

    def _timed(self, output: Any, found: list[list[Result]], seconds: list[float]) -> list[list[Result]]:
        """Put beside each best answer of a CTC or transducer head when its words were said, where that is asked for."""
        if self.times is None:
            return found
        for row, nbest, length in zip(output.ctc_logits.rows(), found, seconds, strict=True):
            if nbest:
                said = nbest[0].tokens if self.kind == "ctc" else nbest[0].text
                nbest[0] = replace(nbest[0], times=self.times.of(row, said, length))
        return found

    def _ctc(self, output: Any) -> list[list[Hypothesis]]:
        if output.ctc_logits is None:
            raise UserError("decode.kind: ctc needs a trained CTC head, this experiment has none; use llm")
        if self.decode["beam"] == 1:
            return [[hypothesis] for hypothesis in ctc_greedy(output.ctc_logits)]
        return ctc_prefix_beam(output.ctc_logits, beam=self.decode["beam"], nbest=self.decode["nbest"])

    def _transducer(self, output: Any) -> list[list[Hypothesis]]:
        head, beam, most = self.model.head, self.decode["beam"], self.decode["max_symbols"]
        if beam == 1:
            return [[hypothesis] for hypothesis in transducer_greedy(head, output.encoded, max_symbols=most)]
        return transducer_beam(head, output.encoded, beam=beam, nbest=self.decode["nbest"], max_symbols=most)

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
    units = words = pieces = witness = tokenizer = None
    if exp.tokens.exists():
        from speechlm.text.tokens import load_tokenizer

        tokenizer = load_tokenizer(exp.tokens)
        units, witness = tokenizer.decode, Witness(tokenizer)
    if values.get("llm"):
        words = llm_text(values["llm"]["checkpoint"], exp)
        pieces = llm_pieces(values["llm"]["checkpoint"], decode, model.llm.vocab_size)
        _check_prompt(values, model.prompt)
    if device == "auto":
        device = decode["device"]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise UserError("decode.device: cuda, but there is no GPU here; set it to cpu or auto")
    kind = "llm" if model_kind(values) == "speech_llm" else model_kind(values)
    model = model.to(device)
    aids = load_aids(values, decode, model, pieces) if words else None
    made = Recognizer(model, decode, units=units, words=words, pieces=pieces, witness=witness, aids=aids, kind=kind)
    made.times = make_times(values, model, tokenizer, decode.get("times", "none"))  # not in older experiments
    return made, values


def _refuse_llm_options(kind: str, decode: dict[str, Any]) -> None:
    """Raise UserError for what only the LLM's search can do, where it is set to do something."""
    plain = {field.name: field.default for field in fields(SearchOptions)} | {"ctc_weight": 0.0}
    names = ("length_penalty", "no_repeat_ngram", "repetition_penalty", "min_tokens", "valid_text", "ctc_weight")
    wrong = [name for name in names if decode[name] != plain[name]]
    if wrong:
        raise UserError(
            f"decode.{wrong[0]}: only the LLM's search has it, this is the {kind} search; set it to {plain[wrong[0]]}"
        )


def _check_prompt(values: dict[str, Any], trained: Prompt) -> None:
    """Make the prompt again from the options and the tokenizer; it must be the one that was trained, id by id."""
    from speechlm.llms.tokenizer import load_llm_tokenizer, prompt_of

    prompt_of(load_llm_tokenizer(values["llm"]["checkpoint"]), values["text"]).check_same(trained)


def llm_pieces(checkpoint: str, decode: dict[str, Any], size: int) -> list[bytes] | None:
    """List what each of an LLM's `size` tokens spells, where the decoding options ask for it; else None."""
    from speechlm.decoding.spelling import token_pieces
    from speechlm.llms.tokenizer import load_llm_tokenizer

    needed = search_options(decode).needs_spelling or decode["ctc_weight"] or aid_options(decode).hot_bonus
    return token_pieces(load_llm_tokenizer(checkpoint), size) if needed else None


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
