"""Keys and values of all utterances that are decoded together: one prompt each, and a tree of generated tokens.

A slot (row) of the cache holds one utterance: its prompt in the first columns, then the tokens that its beams
generated, each in a column of its own. A beam is not a row but a set of columns (its ancestors), so that beams share
the prompt and all common tokens, nothing is copied when beams are reordered, and the column of a token that no beam
stands on any more is used again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers.cache_utils import Cache

_ROUND = 32


@dataclass
class Prefill:
    """Prompts that lie one after another in one row; (slot, start, end) of each."""

    parts: list[tuple[int, int, int]]


@dataclass
class Step:
    """One new token for each beam of the first A slots.

    columns: (A, K) where the new tokens go. places: (A, K) their positions in the text. used: columns in use
    anywhere. mask: (A, K, used) additive, 0 where a beam may look and -inf elsewhere. held: (A, used) position in the
    text of each column. The fields below are filled by the attention, once for all layers.
    """

    columns: Tensor
    places: Tensor
    used: int
    mask: Tensor
    held: Tensor
    masks: dict[tuple[int, int | None, torch.dtype], Tensor] = field(default_factory=dict)
    rows: dict[int, Tensor] = field(default_factory=dict)


class SlotCache(Cache):
    """Keys and values (slots, heads, columns, width) per layer; `plan` says where the next forward pass writes."""

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self.slots = slots
        self.columns = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.plan: Prefill | Step | None = None

    def reserve(self, columns: int) -> None:
        """Make room for `columns` columns; what is there stays."""
        if columns <= self.columns:
            return
        grown = -(-columns // _ROUND) * _ROUND
        for store in (self.keys, self.values):
            for layer, old in enumerate(store):
                store[layer] = old.new_zeros(*old.shape[:2], grown, old.shape[3])
                store[layer][:, :, : self.columns] = old
        self.columns = grown

    def move(self, source: int, target: int, used: int) -> None:
        """Copy one slot's first `used` columns over another's."""
        for store in (*self.keys, *self.values):
            store[target, :, :used] = store[source, :, :used]

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write the new keys and values (B, heads, T, width) of a layer; give back what the attention must see."""
        if layer == len(self.keys):
            # zeros, not empty: what was never written is masked, but 0 * nan would be nan
            self.keys.append(value.new_zeros(self.slots, key.shape[1], self.columns, key.shape[3]))
            self.values.append(value.new_zeros(self.slots, value.shape[1], self.columns, value.shape[3]))
        keys, values = self.keys[layer], self.values[layer]
        if isinstance(self.plan, Prefill):
            for slot, start, end in self.plan.parts:
                keys[slot, :, : end - start] = key[0, :, start:end]
                values[slot, :, : end - start] = value[0, :, start:end]
            return key, value
        assert isinstance(self.plan, Step)
        rows = self._rows(self.plan, key.shape[1])
        keys.view(-1, keys.shape[3]).index_copy_(0, rows, key.reshape(-1, key.shape[3]).to(keys.dtype))
        values.view(-1, values.shape[3]).index_copy_(0, rows, value.reshape(-1, value.shape[3]))
        return keys[: len(key), :, : self.plan.used], values[: len(key), :, : self.plan.used]

    def _rows(self, plan: Step, heads: int) -> Tensor:
        """Number the rows of the flattened cache that the new tokens go to: (A * heads * K,)."""
        if heads not in plan.rows:
            blocks = torch.arange(len(plan.columns) * heads, device=plan.columns.device).view(-1, heads, 1)
            plan.rows[heads] = (blocks * self.columns + plan.columns[:, None]).flatten()
        return plan.rows[heads]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions are always given; some models ask nevertheless."""
        return 0
