"""A causal LM that reads prompts once and then several tokens of one text a slot at a time, and takes tokens back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from speechlm.decoding.cache import Prefill, SlotCache, Step
from speechlm.decoding.reader import positions_of, run_model


class LinearReader:
    """Model and cache of S slots with one text each; a token's column is its position in the text.

    So what was read in vain (a draft that was not taken) is simply written over, and never looked at.

    model: a transformers causal LM as `plain_model` gives it. embed: token ids (...) -> embeddings (..., D).
    """

    def __init__(self, model: nn.Module, embed: Callable[[Tensor], Tensor], slots: int, device: torch.device) -> None:
        self.model, self.embed, self.device = model, embed, device
        self.cache = SlotCache(slots)
        self.lens: list[int] = []

    @property
    def max_positions(self) -> int | None:
        """Positions that the model has; None if it does not say."""
        return positions_of(self.model)

    @torch.inference_mode()
    def enter(self, prompts: list[Tensor], drafts: list[list[int]]) -> Tensor:
        """Read prompts (T, D) and the tokens drafted behind them into new slots, packed into one row without padding.

        Gives the logits (R, V) behind each prompt and each of its drafted tokens, R = sum(1 + drafted).
        """
        rows = [
            torch.cat([prompt, self._embedded(draft, prompt)]) for prompt, draft in zip(prompts, drafts, strict=True)
        ]
        first = len(self.lens)
        self.lens += map(len, rows)
        self.cache.reserve(max(self.lens))
        ends = torch.tensor(self.lens[first:]).cumsum(0).tolist()
        plan = Prefill([(first + i, end - len(rows[i]), end) for i, end in enumerate(ends)])
        places = torch.cat([torch.arange(len(row), device=self.device) for row in rows])[None]
        wanted = [step for draft, end in zip(drafts, ends, strict=True) for step in range(end - 1 - len(draft), end)]
        keep = torch.tensor(wanted, device=self.device)
        return run_model(self.model, self.cache, torch.cat(rows)[None], places, plan, keep)[0]

    def _embedded(self, tokens: list[int], like: Tensor) -> Tensor:
        if not tokens:
            return like[:0]
        return self.embed(torch.tensor(tokens, device=self.device)).to(like.dtype)

    @torch.inference_mode()
    def extend(self, texts: list[list[int]]) -> Tensor:
        """Read at least one token more in every slot: logits (R, V) behind each of them, R = sum of their numbers."""
        most = max(map(len, texts))
        used = max(self.lens) + most
        self.cache.reserve(used)
        tokens = torch.tensor([text + [0] * (most - len(text)) for text in texts], device=self.device)
        counts = torch.tensor([len(text) for text in texts], device=self.device)
        starts = torch.tensor(self.lens, device=self.device)[:, None]
        steps = torch.arange(most, device=self.device)
        columns = starts + steps  # (A, most), the padding's too: it is written over before it is ever looked at
        places = starts + torch.minimum(steps, counts[:, None] - 1)  # the padding must not exceed the model's positions
        held = torch.arange(used, device=self.device)
        hidden = held > columns[..., None]  # (A, most, used)
        wall = torch.zeros(hidden.shape, device=self.device).masked_fill_(hidden, -torch.inf)
        plan = Step(columns, places, used, wall, held.expand(len(texts), -1))
        logits = run_model(self.model, self.cache, self.embed(tokens), places, plan, 0)
        self.lens = [size + len(text) for size, text in zip(self.lens, texts, strict=True)]
        return logits[steps < counts[:, None]]

    def cut(self, slot: int, size: int) -> None:
        """Keep only the first `size` steps of a slot's text."""
        assert size <= self.lens[slot]
        self.lens[slot] = size

    @torch.inference_mode()
    def leave(self, slot: int) -> None:
        """Close a slot; the last one moves into its place."""
        last = self.lens.pop()
        if slot < len(self.lens):
            self.cache.move(len(self.lens), slot, last)
            self.lens[slot] = last
