"""The LLM's search over a whole job: encoder batches feed its slots, and an answer leaves as soon as it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from speechlm.core.batch import Batch, Output
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.aid_options import AidOptions
from speechlm.decoding.aids import Aids
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.ctc import ctc_greedy
from speechlm.decoding.ctc_fusion import CtcFusion
from speechlm.decoding.draft import DraftedSearch
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.llm import LLMBeamSearch, Prompt
from speechlm.decoding.sanity import Witness
from speechlm.decoding.stopwatch import Stopwatch
from speechlm.text.tokens import SPACE, UNK_ID, Tokenizer


@dataclass(frozen=True)
class Answer:
    """What the search found for one utterance.

    number: its place among all that were given. logits: (1, T, V) of the CTC head, None without one. seconds: of audio.
    draft: forward passes made, and those that the same answer takes without a draft; None where drafts are not asked for.
    listed: the hot words that were written into the prompt; None where that is not asked for.
    """

    number: int
    hypotheses: list[Hypothesis]
    logits: Seq | None
    seconds: float
    draft: dict[str, int] | None = None
    listed: list[str] | None = None


class Answers:
    """Runs an LLM's search with what helps it.

    model: a SpeechLLM. options, ctc_weight, aid_options: what the section `decode` says. pieces: the bytes of the LLM's
    tokens. witness: knows the CTC head's units. aids: loaded. stopwatch: is told what encoding and prefill take. Raises
    UserError for what the model cannot honour.
    """

    def __init__(
        self,
        model: Any,
        options: SearchOptions,
        ctc_weight: float,
        aid_options: AidOptions,
        *,
        pieces: Sequence[bytes] | None,
        witness: Witness | None,
        aids: Aids | None,
        stopwatch: Stopwatch,
    ) -> None:
        self.model, self.options, self.ctc_weight = model, options, ctc_weight
        self.pieces, self.witness = pieces, witness
        self.aids, self.drafts, self.stopwatch = aids or Aids(), aid_options.draft == "ctc", stopwatch
        if ctc_weight and (witness is None or witness.kind != "char" or model.head is None):
            raise UserError("decode.ctc_weight: needs an experiment with a CTC head on characters; set it to 0")
        self.hears = witness is not None and witness.tokenizer.spells_text and model.head is not None
        if self.drafts and not self.hears:
            raise UserError("decode.draft: needs an experiment with a CTC head whose units spell text; set it to none")
        if aid_options.hot_prompt and aid_options.hot_distance < 1 and not self.hears:
            raise UserError("decode.hot_prompt: needs an experiment with a CTC head whose units spell text to choose the "
                            "phrases; set decode.hot_distance to 1 to take them all")  # fmt: skip
        asked = {"lm_weight": aid_options.lm_weight and not self.aids.lm, "draft": self.drafts and not self.aids.encode,
                 "hot_words": aid_options.hot_bonus and not self.aids.hot,
                 "hot_prompt": aid_options.hot_prompt and not self.aids.listed}  # fmt: skip
        if any(asked.values()):
            raise ValueError(f"decode.{next(filter(asked.get, asked))}: is asked for, but was not loaded (load_aids)")

    def stream(self, batches: Iterable[Batch]) -> Iterator[Answer]:
        """Decode all utterances of the batches, `batch_slots` of them at a time.

        Batches are encoded only when there is room for their utterances, so a job needs no more memory than its slots and
        one batch. Give them longest first.
        """
        waiting: dict[str, Answer] = {}
        search = self._search(waiting)
        before = 0.0
        for name, hypotheses in search.stream(self._prompts(batches, waiting)):
            self.stopwatch.prefill += search.effort.prefill_seconds - before
            before = search.effort.prefill_seconds
            known = waiting.pop(name)
            draft = None
            if isinstance(search, DraftedSearch):
                passes, plain = search.counts.pop(name)
                draft = {"passes": passes, "without": plain}
            yield Answer(known.number, hypotheses, known.logits, known.seconds, draft, known.listed)

    def _prompts(self, batches: Iterable[Batch], waiting: dict[str, Answer]) -> Iterator[Prompt]:
        """Encode one batch after the other; put each utterance's prompt into the search, and what else is known aside."""
        number = 0
        for batch in batches:
            output, listed, prompts, limits = self._encode(batch)
            heard = output.ctc_logits
            rows: Sequence[Tensor | None] = [None] * len(batch) if heard is None else heard.rows()
            for place, name in enumerate(batch.ids):
                name = f"{name}#{number}" if name in waiting else name  # one file may be given twice
                row, seconds = rows[place], float(batch.seconds[place])
                logits = None if row is None else Seq(row[None], torch.tensor([len(row)], device=row.device))
                waiting[name] = Answer(number, [], logits, seconds, listed=listed[place])
                number += 1
                yield name, prompts[place], limits[place]

    @torch.inference_mode()
    def _encode(self, batch: Batch) -> tuple[Output, list[list[str] | None], list[Tensor], list[int]]:
        device = next(self.model.parameters()).device
        with self.stopwatch.encoding(device):
            output = self.model.encode(batch.to(device).speech)
            listed = self._listed(output.ctc_logits, len(batch))
            prompts = self.model.prompts(output.speech_embeddings, self._hot(listed, device)).rows()
        # a unit of text-only input counts for 0.2 s
        pairs = zip(batch.seconds.tolist(), batch.speech.lens.tolist(), strict=True)
        return output, listed, prompts, [self.options.max_tokens(s if s > 0 else 0.2 * n) for s, n in pairs]

    def _listed(self, logits: Seq | None, count: int) -> list[list[str] | None]:
        """Choose the hot words for the prompts of a batch, each by what the CTC head says of this utterance alone."""
        if self.aids.listed is None:
            return [None] * count
        heard = [None] * count if logits is None or not self.hears else [self._heard(h.tokens) for h in ctc_greedy(logits)]
        return [self.aids.listed.plausible(text) for text in heard]

    def _hot(self, listed: list[list[str] | None], device: torch.device) -> Seq | None:
        """Write them: (B, H) tokens."""
        write = self.aids.listed and self.aids.listed.write
        return Seq.of([torch.tensor(write(p or []), dtype=torch.int64, device=device) for p in listed]) if write else None

    def _heard(self, units: list[int]) -> str:
        assert self.witness is not None
        return self.witness.tokenizer.decode(units)

    def _search(self, waiting: dict[str, Answer]) -> LLMBeamSearch:
        """Make the search of one stream; what it asks of an utterance it finds in `waiting`."""
        llm, ends = self.model.llm, self.model.prompt.end[:1]
        if self.drafts:
            return DraftedSearch(llm.model, llm.embed, ends, self.options, lambda name: self._draft(waiting[name].logits),
                                 pieces=self.pieces)  # fmt: skip
        ctc = None
        if self.ctc_weight:
            assert self.witness is not None and self.pieces is not None
            units = character_units(self.witness.tokenizer)
            ctc = CtcFusion(self.ctc_weight, lambda name: _frames(waiting[name].logits), units, self.pieces, ends)
        return LLMBeamSearch(
            llm.model, llm.embed, ends, self.options, pieces=self.pieces, lm=self.aids.lm, ctc=ctc, hot=self.aids.hot
        )

    @torch.inference_mode()
    def _draft(self, logits: Seq | None) -> list[int]:
        """Turn what the CTC head says greedily into the LLM's tokens."""
        assert logits is not None and self.aids.encode is not None
        text = self._heard(ctc_greedy(logits)[0].tokens)
        return self.aids.encode(text) if text else []


def character_units(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """Give the function from a piece of an answer to units of characters, the blanks between words included.

    The normaliser sees whole texts: of a piece it would take the blank in front, and an apostrophe that stands alone.
    So a character that is a unit stays as it is, as in the normalised texts that the LLM has learnt to write. One that the
    normaliser takes out of every text is <unk>: were it nothing, the search could put off the end with any number of them.
    """

    def units(text: str) -> list[int]:
        found: list[int] = []
        for character in text.replace(" ", SPACE):
            known = [tokenizer.ids[character]] if character in tokenizer.ids else tokenizer.encode(character)
            found += known or ([] if character == SPACE else [UNK_ID])
        return found

    return units


def _frames(logits: Seq | None) -> Tensor:
    assert logits is not None
    return logits.data[0]
