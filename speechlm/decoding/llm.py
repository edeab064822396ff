"""Beam search over a causal LM whose prompt is embeddings: exact, independent of the batch, one prefill a prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.beams import BROKEN, Beams
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.ctc_fusion import CtcFusion
from speechlm.decoding.fusion import LMFusion
from speechlm.decoding.hot_words import HotWords
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.reader import Reader, plain_model
from speechlm.decoding.spelling import Spelling

Prompt = tuple[str, Tensor, int]


@dataclass
class Effort:
    """What a search has cost so far: seconds, prompt steps read, and tokens read one by one (of all beams).

    passes: forward passes of the LLM that each utterance took part in, summed; it takes part in one for its prompt and
    one for each further token. saved_passes: those that drafts have made unnecessary.
    """

    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    prompt_steps: int = 0
    tokens: int = 0
    passes: int = 0
    saved_passes: int = 0


class LLMBeamSearch:
    """Beam search with the results of Hugging Face `generate`, for transformers causal LMs with an attention interface.

    A prompt is run once, not once per beam; its keys and values are shared by its beams, whose tokens form a tree
    beside it, so that nothing is copied when beams are reordered (cache.py, tree.py). Utterances that have ended
    leave and new ones enter at any step. What is decoded beside an utterance does not change its result.

    model: a transformers causal LM in eval mode, bare or wrapped by peft (LoRA).
    embed: token ids (...) -> embeddings (..., D).
    end_ids: tokens that end an answer.
    pieces: the bytes of every token (spelling.token_pieces), for the options no_repeat_unit "character" and valid_text.
    lm: another LM of the same tokens, whose log probabilities are added.
    ctc: the CTC head's prefix scores, added.
    hot: hot words, whose tokens are favoured.
    prefill_steps: about how many steps of prompts are run in one go; bounds memory.

    `effort` sums up what all searches have cost.
    """

    def __init__(
        self,
        model: nn.Module,
        embed: Callable[[Tensor], Tensor],
        end_ids: Sequence[int],
        options: SearchOptions | None = None,
        *,
        pieces: Sequence[bytes] | None = None,
        lm: LMFusion | None = None,
        ctc: CtcFusion | None = None,
        hot: HotWords | None = None,
        prefill_steps: int = 4096,
    ) -> None:
        self.model = model
        self.embed = embed
        self.end_ids = list(dict.fromkeys(end_ids))
        self.options = options or SearchOptions()
        self.lm = lm
        self.ctc = ctc
        self.hot = hot
        self.prefill_steps = prefill_steps
        self.effort = Effort()
        self.spelling: Spelling | None = None
        if not self.end_ids:
            raise UserError("end_ids: must name at least one token that ends an answer")
        if self.options.needs_spelling:
            name = "valid_text" if self.options.valid_text else "no_repeat_unit"
            if pieces is None:
                raise UserError(
                    f"{name}: needs the bytes that tokens spell; give pieces=token_pieces(tokenizer, vocab_size)"
                )
            ngram = self.options.no_repeat_ngram if self.options.no_repeat_unit == "character" else 0
            self.spelling = Spelling(pieces, self.end_ids, ngram=ngram, valid=self.options.valid_text)

    def search(self, prompts: Seq, max_tokens: Sequence[int]) -> list[list[Hypothesis]]:
        """Decode prompts (B, T, D), padded on the right; max_tokens (B) are limits that count the end token.

        Gives for each utterance its `nbest` hypotheses, best first. Its id, in errors and fusion, is its number.
        """
        rows = prompts.rows()
        if len(max_tokens) != len(rows):
            raise ValueError(f"max_tokens: must have one limit per prompt ({len(rows)}), has {len(max_tokens)}")
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        found = dict(self.stream((str(i), rows[i], max_tokens[i]) for i in order))
        return [found[str(i)] for i in range(len(rows))]

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[str, list[Hypothesis]]]:
        """Decode (id, prompt (T, D), max_tokens), `batch_slots` at a time; yield (id, hypotheses) as they end.

        Prompts are taken from the iterator only when there is room, so a corpus needs no more memory than its slots.
        Sort them by duration, then those that stand beside each other end at about the same time. Raises ValueError,
        with the id, for a prompt that cannot be decoded.
        """
        return Run(self).results(iter(prompts))


class Run:
    """One stream of utterances through the slots."""

    def __init__(self, search: LLMBeamSearch) -> None:
        self.search = search
        self.options = search.options
        self.model = plain_model(search.model)
        self.ids: list[str] = []
        self.readers: list[Reader] = []

    def results(self, prompts: Iterator[Prompt]) -> Iterator[tuple[str, list[Hypothesis]]]:
        """Fill the slots, go on by one token, empty what has ended, until nothing is left."""
        more = True
        while more or self.ids:
            if more and len(self.ids) < self.options.batch_slots:
                batch, more = self._next_prompts(prompts)
                if batch:
                    yield from self._leave(*self._enter(batch))
            else:
                yield from self._leave(*self._go_on())

    def _next_prompts(self, prompts: Iterator[Prompt]) -> tuple[list[Prompt], bool]:
        """Take as many prompts as there is room for; False when there are no more."""
        batch: list[Prompt] = []
        steps = 0
        while len(self.ids) + len(batch) < self.options.batch_slots and steps < self.search.prefill_steps:
            prompt = next(prompts, None)
            if prompt is None:
                return batch, False
            self._start(prompt[1].device)
            self._check(*prompt)
            batch.append(prompt)
            steps += len(prompt[1])
        return batch, True

    def _start(self, device: torch.device) -> None:
        """Make the state when the first prompt tells the device."""
        if self.readers:
            return
        search, slots, beam = self.search, self.options.batch_slots, self.options.beam
        graphs = self.options.graphs
        self.readers = [Reader(self.model, search.embed, slots, beam, device, graphs=graphs)]
        if search.lm is not None:
            self.readers.append(search.lm.reader(slots, beam, device, graphs=graphs))
        self.ctc = search.ctc.start(slots, beam, device) if search.ctc is not None else None
        hot = search.hot.start(device) if search.hot is not None else None
        self.beams = Beams(self.options, search.end_ids, device, search.spelling, self.ctc, hot)

    def _check(self, name: str, prompt: Tensor, limit: int) -> None:
        """Refuse what cannot be decoded, by the utterance's id."""
        if prompt.dim() != 2 or not len(prompt):
            raise ValueError(f"{name}: a prompt must be (T, D) with T > 0, is {tuple(prompt.shape)}")
        if limit < 1:
            raise ValueError(f"{name}: max_tokens must be at least 1, is {limit}")
        read = [("the LLM", len(prompt)), ("decode.lm", len(self.search.lm.prompt) if self.search.lm is not None else 0)]
        for (model, steps), reader in zip(read, self.readers, strict=False):
            most = reader.max_positions
            if most and steps + limit - 1 > most:
                raise ValueError(
                    f"{name}: prompt of {steps} steps and {limit} tokens exceed {model}'s {most} positions"
                )

    def _enter(self, batch: list[Prompt]) -> tuple[int, list[int]]:
        """Read prompts and let the best first tokens begin their beams."""
        start = time.perf_counter()
        names, prompts, limits = [list(column) for column in zip(*batch, strict=True)]
        logits = self.readers[0].enter(prompts)
        others = None
        if self.search.lm is not None:
            others = self.search.lm.weigh(self.readers[1].enter(self.search.lm.prompts(len(batch))), logits.shape[-1])
        if self.ctc is not None:
            self.ctc.enter(names)
        part = self.beams.enter(limits)
        self.ids += names
        states = self._advance(part, logits[:, None], others[:, None] if others is not None else None)
        self.search.effort.prompt_steps += sum(map(len, prompts))
        self.search.effort.passes += len(prompts)
        self.search.effort.prefill_seconds += time.perf_counter() - start
        return part.start, states

    def _go_on(self) -> tuple[int, list[int]]:
        """One token more for every beam of every utterance."""
        start = time.perf_counter()
        newest = self.beams.newest()
        logits = self.readers[0].step(newest)
        others = None
        if self.search.lm is not None:
            others = self.search.lm.weigh(self.readers[1].step(newest), logits.shape[-1])
        states = self._advance(slice(0, self.beams.active), logits, others)
        self.search.effort.tokens += newest.numel()
        self.search.effort.passes += len(newest)
        self.search.effort.decode_seconds += time.perf_counter() - start
        return 0, states

    @torch.inference_mode()
    def _advance(self, part: slice, logits: Tensor, others: Tensor | None) -> list[int]:
        parents, states = self.beams.advance(part, logits, others)
        for reader in self.readers:
            reader.reorder(part, parents)
        return states.tolist()

    def _leave(self, first: int, states: list[int]) -> list[tuple[str, list[Hypothesis]]]:
        """Take the hypotheses of slots that have ended and close the gaps."""
        found = []
        for slot in range(first + len(states) - 1, first - 1, -1):
            if states[slot - first] == BROKEN:
                raise ValueError(
                    f"{self.ids[slot]}: the model's scores are not numbers (nan); look at its prompt and weights"
                )
            if states[slot - first]:
                found.append((self.ids[slot], self._close(slot)))
        return found

    @torch.inference_mode()
    def _close(self, slot: int) -> list[Hypothesis]:
        hypotheses = self.beams.take(slot)
        self.beams.leave(slot)
        for reader in self.readers:
            reader.leave(slot)
        last = self.ids.pop()
        if slot < len(self.ids):
            self.ids[slot] = last
        return hypotheses
