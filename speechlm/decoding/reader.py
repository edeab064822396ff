"""A causal LM that reads prompts once and then one token for each beam at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.decoding.attention import switched
from speechlm.decoding.cache import Prefill, SlotCache, Step
from speechlm.decoding.graphs import FixedSteps, rounded
from speechlm.decoding.tree import Tree

_LAYER_TYPES = {"full_attention", "sliding_attention"}


def plain_model(model: nn.Module) -> nn.Module:
    """Unwrap peft (its adapters sit inside the layers) and refuse models that cannot be read exactly in this way."""
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        raise UserError("beam search: peft prompt learning changes the cache; use LoRA")
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    name = type(plain).__name__
    if not getattr(plain, "_supports_attention_backend", False):
        raise UserError(f"beam search: {name} has no exchangeable attention in transformers; use a Llama-like model")
    foreign = set(getattr(plain.config.get_text_config(), "layer_types", None) or []) - _LAYER_TYPES
    if foreign:
        raise UserError(f"beam search: {name} has layers of type {', '.join(sorted(foreign))}; only attention is known")
    if plain.training:
        raise ValueError(f"beam search: {name} is in training mode (dropout); call model.eval() first")
    return plain


class Reader:
    """Model, cache and tree of S slots with K beams each.

    model: a transformers causal LM as `plain_model` gives it. embed: token ids (...) -> embeddings (..., D).
    graphs: run steps at fixed shapes, as CUDA graphs where the device is one (graphs.py).
    """

    def __init__(
        self, model: nn.Module, embed: Callable[[Tensor], Tensor], slots: int, beam: int, device: torch.device,
        *, graphs: bool = False,
    ) -> None:  # fmt: skip
        self.model = model
        self.embed = embed
        self.beam = beam
        self.device = device
        self.cache = SlotCache(slots)
        self.tree = Tree(slots, beam, device)
        self.fixed = FixedSteps(self._read, slots, beam, device) if graphs else None

    @property
    def max_positions(self) -> int | None:
        """Positions that the model has; None if it does not say."""
        return positions_of(self.model)

    @torch.inference_mode()
    def enter(self, prompts: list[Tensor]) -> Tensor:
        """Read prompts (T, D) into new slots, packed into one row without padding: logits (n, V) of the next token."""
        lens = [len(prompt) for prompt in prompts]
        self._reserve(max(lens) + 8 * self.beam)
        ends = torch.tensor(lens).cumsum(0)
        first = self.tree.active
        plan = Prefill([(first + i, end - lens[i], end) for i, end in enumerate(ends.tolist())])
        places = torch.cat([torch.arange(n, device=self.device) for n in lens])[None]
        logits = self._forward(torch.cat(prompts)[None], places, plan, (ends - 1).to(self.device))[0]
        self.tree.enter(lens)
        return logits

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """Read one token of each beam (A, K) in the slots that are open: logits (A, K, V) of the next."""
        self._reserve(self.tree.used + self.beam)
        plan = self.tree.step()
        return self._read(tokens, plan) if self.fixed is None else self.fixed(tokens, plan)

    def _read(self, tokens: Tensor, plan: Step) -> Tensor:
        return self._forward(self.embed(tokens), plan.places, plan, 0)

    @torch.inference_mode()
    def reorder(self, part: slice, parents: Tensor) -> None:
        """Let each beam of the slots go on from its parent (n, K); nothing in the cache moves."""
        self.tree.reorder(part, parents)

    @torch.inference_mode()
    def leave(self, slot: int) -> None:
        """Close a slot; the last one moves into its place."""
        self.tree.leave(slot)
        self.cache.move(self.tree.active, slot, self.tree.used)

    def _reserve(self, columns: int) -> None:
        if self.fixed is not None and columns > self.cache.columns:
            columns = rounded(columns)
            self.fixed.forget()
        self.cache.reserve(columns)
        self.tree.reserve(self.cache.columns)

    def _forward(self, rows: Tensor, places: Tensor, plan: Prefill | Step, keep: Tensor | int) -> Tensor:
        return run_model(self.model, self.cache, rows, places, plan, keep)


def positions_of(model: nn.Module) -> int | None:
    """Give the number of positions that a model has; None if it does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def run_model(
    model: nn.Module, cache: SlotCache, rows: Tensor, places: Tensor, plan: Prefill | Step, keep: Tensor | int
) -> Tensor:
    """Run a model over embeddings (B, T, D) at these places; keep: which steps to score, 0 all."""
    cache.plan = plan
    with switched(model):
        output = model(
            inputs_embeds=rows, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=keep, plan=plan,
        )  # fmt: skip
    cache.plan = None
    return output.logits
