"""Beam search over a causal LM whose prompt is embeddings: exact, independent of the batch, each prompt computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.attention import switched
from speechlm.decoding.beams import BROKEN, Beams
from speechlm.decoding.cache import Prefill, SlotCache
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.hypothesis import Hypothesis

Prompt = tuple[str, Tensor, int]
_LAYER_TYPES = {"full_attention", "sliding_attention"}


class LLMBeamSearch:
    """Beam search with the results of Hugging Face `generate`, for any transformers causal LM with an attention interface.

    A prompt is run once, not once per beam; its keys and values are shared by its beams, whose tokens form a tree beside
    it, so that nothing is copied when beams are reordered (cache.py). Utterances that have ended leave and new ones enter at
    any step. What is decoded beside an utterance does not change its result.

    model: a transformers causal LM in eval mode, bare or wrapped by peft (LoRA).
    embed: token ids (A, K) -> embeddings (A, K, D).
    end_ids: tokens that end an answer.
    """

    def __init__(
        self,
        model: nn.Module,
        embed: Callable[[Tensor], Tensor],
        end_ids: list[int],
        options: SearchOptions | None = None,
        *,
        prefill_steps: int = 4096,
    ) -> None:
        self.model = _plain(model)
        self.embed = embed
        self.end_ids = list(end_ids)
        self.options = options or SearchOptions()
        self.prefill_steps = prefill_steps

    def search(self, prompts: Seq, max_tokens: list[int]) -> list[list[Hypothesis]]:
        """Decode prompts (B, T, D), padded on the right; max_tokens (B) limits count the end token.

        Gives for each utterance its `nbest` hypotheses, best first.
        """
        rows = prompts.rows()
        if len(max_tokens) != len(rows):
            raise ValueError(f"max_tokens: must have one limit per prompt ({len(rows)}), has {len(max_tokens)}")
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        found = dict(self.stream((str(i), rows[i], max_tokens[i]) for i in order))
        return [found[str(i)] for i in range(len(rows))]

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[str, list[Hypothesis]]]:
        """Decode (id, prompt (T, D), max_tokens) one after another, `batch_slots` at a time; yield them as they end.

        Prompts are taken from the iterator only when there is room. Sort them by duration: utterances that stand beside
        each other then cost no padding and end at about the same time. Raises ValueError, with the id, for a prompt that
        cannot be decoded.
        """
        if self.model.training:
            raise ValueError("LLMBeamSearch: the model is in training mode (dropout); call model.eval() first")
        yield from _Run(self).results(iter(prompts))


def _plain(model: nn.Module) -> nn.Module:
    """Unwrap peft (its adapters sit inside the layers) and refuse models that this search cannot decode exactly."""
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        raise UserError("LLMBeamSearch: peft prompt learning changes the cache; merge it or use LoRA")
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    name = type(plain).__name__
    if not getattr(plain, "_supports_attention_backend", False):
        raise UserError(f"LLMBeamSearch: {name} has no exchangeable attention in transformers; use a Llama-like model")
    text = plain.config.get_text_config()
    foreign = set(getattr(text, "layer_types", None) or []) - _LAYER_TYPES
    if foreign:
        raise UserError(f"LLMBeamSearch: {name} has layers of type {', '.join(sorted(foreign))}; only attention is known")
    return plain


class _Run:
    """One stream of utterances through the slots."""

    def __init__(self, search: LLMBeamSearch) -> None:
        self.search = search
        self.options = search.options
        self.cache = SlotCache(search.options.batch_slots)
        self.beams: Beams | None = None
        self.ids: list[str] = []

    def results(self, prompts: Iterator[Prompt]) -> Iterator[tuple[str, list[Hypothesis]]]:
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
            self._check(*prompt)
            batch.append(prompt)
            steps += len(prompt[1])
        return batch, True

    def _check(self, name: str, prompt: Tensor, limit: int) -> None:
        if prompt.dim() != 2 or not len(prompt):
            raise ValueError(f"{name}: a prompt must be (T, D) with T > 0, is {tuple(prompt.shape)}")
        if limit < 1:
            raise ValueError(f"{name}: max_tokens must be at least 1, is {limit}")
        most = getattr(self.search.model.config.get_text_config(), "max_position_embeddings", None)
        if most and len(prompt) + limit - 1 > most:
            raise ValueError(f"{name}: prompt of {len(prompt)} steps and {limit} tokens exceed the LLM's {most} positions")

    @torch.inference_mode()
    def _enter(self, batch: list[Prompt]) -> tuple[int, list[int]]:
        """Run the prompts, packed one after another, and let the best first tokens begin their beams."""
        device = batch[0][1].device
        if self.beams is None:
            self.beams = Beams(self.options, self.search.end_ids, self.options.batch_slots, device)
        lens = [len(prompt) for _, prompt, _ in batch]
        limits = [limit for _, _, limit in batch]
        self._reserve(max(lens) + self.options.beam * 8, max(limits))
        ends = torch.tensor(lens, device=device).cumsum(0)
        first = len(self.ids)
        plan = Prefill([(first + i, end - lens[i], end) for i, end in enumerate(ends.tolist())])
        places = torch.cat([torch.arange(n, device=device) for n in lens])[None]
        rows = torch.cat([prompt for _, prompt, _ in batch])[None]  # (1, sum of T, D)
        logits = self._forward(rows, places, plan, ends - 1)[0]  # (n, V)
        part = self.beams.enter(torch.tensor(lens, device=device), torch.tensor(limits, device=device))
        self.ids += [name for name, _, _ in batch]
        return first, self.beams.advance(part, logits[:, None], True).tolist()

    @torch.inference_mode()
    def _go_on(self) -> tuple[int, list[int]]:
        """One token more for every beam of every utterance."""
        beams = self.beams
        assert beams is not None
        self._reserve(beams.used + self.options.beam, 0)
        plan = beams.step()
        logits = self._forward(self.search.embed(beams.newest()), plan.places, plan, 0)  # (A, K, V)
        return 0, beams.advance(slice(0, beams.active), logits, False).tolist()

    def _reserve(self, columns: int, tokens: int) -> None:
        assert self.beams is not None
        self.cache.reserve(columns)
        self.beams.reserve(self.cache.columns, tokens)

    def _forward(self, rows: Tensor, places: Tensor, plan: object, keep: Tensor | int) -> Tensor:
        self.cache.plan = plan
        model = self.search.model
        with switched(model):
            output = model(
                inputs_embeds=rows, position_ids=places, past_key_values=self.cache, use_cache=True, logits_to_keep=keep, plan=plan
            )
        return output.logits

    def _leave(self, first: int, states: list[int]) -> list[tuple[str, list[Hypothesis]]]:
        """Take the hypotheses of slots that have ended and close the gaps."""
        found = []
        for slot in range(first + len(states) - 1, first - 1, -1):
            if states[slot - first] == BROKEN:
                raise ValueError(f"{self.ids[slot]}: the model's scores are not numbers (nan); look at its prompt and weights")
            if states[slot - first]:
                found.append((self.ids[slot], self._close(slot)))
        return found

    @torch.inference_mode()
    def _close(self, slot: int) -> list[Hypothesis]:
        beams = self.beams
        assert beams is not None
        hypotheses = beams.take(slot)
        beams.leave(slot)
        self.cache.move(beams.active, slot, beams.used)
        last = self.ids.pop()
        if slot < len(self.ids):
            self.ids[slot] = last
        return hypotheses
