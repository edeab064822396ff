"""Which cache columns each beam may look at: its prompt and its own ancestors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechlm.decoding.cache import Step


class Tree:
    """The generated tokens of S slots as trees whose nodes are cache columns; the first `active` slots are in use.

    mask (S, K, C): columns of each beam's prompt and ancestors. held (S, C): position in the text of each column.
    places (S,): position of the next token. used: number of columns in use anywhere.
    """

    def __init__(self, slots: int, beam: int, device: torch.device) -> None:
        self.active = 0
        self.used = 0
        self.mask = torch.zeros(slots, beam, 0, dtype=torch.bool, device=device)
        self.held = torch.zeros(slots, 0, dtype=torch.int64, device=device)
        self.places = torch.zeros(slots, dtype=torch.int64, device=device)

    def reserve(self, columns: int) -> None:
        """Make room for cache columns."""
        wider = columns - self.mask.shape[2]
        if wider > 0:
            self.mask, self.held = pad(self.mask, (0, wider)), pad(self.held, (0, wider))

    def enter(self, lens: list[int]) -> slice:
        """Open slots for prompts of these lengths; give their place."""
        part = slice(self.active, self.active + len(lens))
        self.active = part.stop
        self.used = max(self.used, *lens)
        self.places[part] = torch.tensor(lens, device=self.places.device)
        steps = torch.arange(self.mask.shape[2], device=self.mask.device)
        self.mask[part] = (steps < self.places[part, None])[:, None]
        self.held[part] = steps
        return part

    def leave(self, slot: int) -> None:
        """Close a slot; the last one moves into its place."""
        self.active -= 1
        for rows in (self.mask, self.held, self.places):
            rows[slot] = rows[self.active]

    def reorder(self, part: slice, parents: Tensor) -> None:
        """Let each beam of the slots go on from its parent (n, K)."""
        mask = self.mask[part]
        self.mask[part] = mask.gather(1, parents[..., None].expand(-1, -1, mask.shape[2]))

    def step(self) -> Step:
        """Choose a free column for one new token of each beam, and say what each may look at.

        A column is free when no beam stands on its token any more: columns are used again, the cache stays short.
        """
        mask = self.mask[: self.active]
        beam = mask.shape[1]
        free = (~mask.any(1)).cumsum(1)  # (A, C) number of free columns up to here
        wanted = torch.arange(1, beam + 1, device=mask.device).expand(self.active, -1).contiguous()
        columns = torch.searchsorted(free, wanted)  # (A, K)
        places = self.places[: self.active, None].expand(-1, beam)
        mask.scatter_(2, columns[..., None], True)
        self.held[: self.active].scatter_(1, columns, places)
        self.used = int(mask.any(1).any(0).nonzero().max()) + 1
        view = mask[:, :, : self.used]
        wall = torch.zeros(view.shape, device=view.device).masked_fill_(~view, -torch.inf)
        step = Step(columns, places.clone(), self.used, wall, self.held[: self.active, : self.used])
        self.places[: self.active] += 1
        return step
