"""The attention that a transformers model calls during our search, registered under a name of its own.

No file of transformers is changed: a model looks its attention up by `config._attn_implementation`, and `switched` puts
our name there for the time of one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from speechlm.decoding.cache import Prefill, Step

NAME = "speechlm_beams"
_FOREIGN = ("softcap", "s_aux", "position_bias", "block_table")


@contextmanager
def switched(model: nn.Module) -> Iterator[None]:
    """Let every attention of `model` be ours inside the block, and the old one again afterwards."""
    AttentionInterface.register(NAME, attend)
    configs = {
        id(part.config): part.config
        for part in model.modules()
        if hasattr(getattr(part, "config", None), "_attn_implementation")
    }
    before = {key: config._attn_implementation for key, config in configs.items()}
    try:
        for config in configs.values():
            config._attn_implementation = NAME
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    plan: Prefill | Step | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend in a prefill (packed prompts, each causal by itself) or in a step (beams over prompt and ancestors).

    query: (B, H, T, width); key, value: (B, H or fewer, T or used, width). Gives (B, T, H, width).
    Raises ValueError for a kind of attention that this function does not know.
    """
    foreign = [name for name in _FOREIGN if others.get(name) is not None]
    if foreign or plan is None or dropout:
        what = foreign[0] if foreign else "dropout" if dropout else "no search plan"
        raise ValueError(f"{type(module).__name__}: attention with {what} cannot be decoded by LLMBeamSearch")
    query = query.to(value.dtype)
    if isinstance(plan, Prefill):
        return _attend_prompts(query, key.to(value.dtype), value, plan, scaling, sliding_window), None
    return _attend_beams(query, key, value, plan, scaling, sliding_window), None


def _attend_prompts(
    query: Tensor, key: Tensor, value: Tensor, plan: Prefill, scaling: float | None, window: int | None
) -> Tensor:
    """Attend inside each prompt of the row (1, H, sum of T, width); no mask is needed, no padding is computed."""
    heads = []
    for _, start, end in plan.parts:
        band = None
        if window is not None and end - start > window:
            gap = torch.arange(end - start, device=query.device)
            gap = gap[:, None] - gap
            band = (gap >= 0) & (gap < window)
        part = slice(start, end)
        heads.append(
            scaled_dot_product_attention(
                query[:, :, part], key[:, :, part], value[:, :, part],
                attn_mask=band, is_causal=band is None, scale=scaling, enable_gqa=query.shape[1] != key.shape[1],
            )
        )  # fmt: skip
    return torch.cat(heads, 2).transpose(1, 2)


def _attend_beams(
    query: Tensor, key: Tensor, value: Tensor, plan: Step, scaling: float | None, window: int | None
) -> Tensor:
    """Attend from the K beams of each slot (A, H, K, width) to its columns; the queries of a group share their keys."""
    slots, heads, beams, width = query.shape
    group = heads // key.shape[1]
    mask = _step_mask(plan, group, window, query.dtype)
    query = query.reshape(slots, key.shape[1], group * beams, width)
    out = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return out.reshape(slots, heads, beams, -1).transpose(1, 2)


def _step_mask(plan: Step, group: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """Give the additive mask (A, 1, group * K, used), made once and shared by the layers."""
    key = (group, window, dtype)
    if key not in plan.masks:
        mask = plan.mask
        if window is not None:
            gap = plan.places[:, :, None] - plan.held[:, None, :]  # (A, K, used)
            mask = mask.masked_fill(gap >= window, -torch.inf)
        plan.masks[key] = mask.to(dtype).repeat(1, group, 1)[:, None]
    return plan.masks[key]
