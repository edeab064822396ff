"""The book-keeping of beam search for all slots at once: scores, tokens, ancestors, finished hypotheses.

The rules are those of Hugging Face `generate` (transformers 5.23), slot by slot: an utterance's result never depends on
what is decoded beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechlm.decoding.cache import Step
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.filters import ban_ends, ban_ngrams, log_norm, penalise_repeats, top_tokens
from speechlm.decoding.hypothesis import Hypothesis


class Beams:
    """State of S slots with K beams each; the first `active` slots are in use.

    scores (S, K); tokens and gains (S, K, N): generated tokens and what each added to the score; lens, limits, prompts (S,):
    tokens so far, the most there may be, steps of the prompt; mask (S, K, C): cache columns of each beam's prompt and
    ancestors; held (S, C): position in the text of each column; the names with `done_` hold the finished hypotheses.
    """

    _rows = ("scores", "tokens", "gains", "lens", "limits", "prompts", "mask", "held",
             "done_scores", "done_tokens", "done_gains", "done_lens", "done_ended", "done_filled")  # fmt: skip

    def __init__(self, options: SearchOptions, end_ids: list[int], slots: int, device: torch.device) -> None:
        self.options = options
        self.ends = torch.tensor(end_ids, device=device)
        # each beam has at most one candidate per end token, so that this many always leave `beam` running ones
        self.keep = max(2, 1 + len(end_ids)) * options.beam
        self.active = 0
        self.used = 0
        beam = options.beam

        def empty(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(slots, *shape, dtype=dtype, device=device)

        self.scores, self.done_scores = empty(beam, dtype=torch.float32), empty(beam, dtype=torch.float32)
        self.tokens, self.done_tokens = empty(beam, 0), empty(beam, 0)
        self.gains, self.done_gains = empty(beam, 0, dtype=torch.float32), empty(beam, 0, dtype=torch.float32)
        self.lens, self.limits, self.prompts, self.done_lens = empty(), empty(), empty(), empty(beam)
        self.mask, self.held = empty(beam, 0, dtype=torch.bool), empty(0)
        self.done_ended, self.done_filled = empty(beam, dtype=torch.bool), empty(beam, dtype=torch.bool)

    def reserve(self, columns: int, tokens: int) -> None:
        """Make room for cache columns and for tokens of an answer."""
        wider = max(0, columns - self.mask.shape[2])
        self.mask, self.held = pad(self.mask, (0, wider)), pad(self.held, (0, wider))
        longer = max(0, tokens - self.tokens.shape[2])
        for name in ("tokens", "gains", "done_tokens", "done_gains"):
            setattr(self, name, pad(getattr(self, name), (0, longer)))

    def enter(self, prompts: Tensor, limits: Tensor) -> slice:
        """Open slots for prompts of these lengths; give their place."""
        part = slice(self.active, self.active + len(prompts))
        self.active = part.stop
        self.lens[part], self.limits[part], self.prompts[part] = 0, limits, prompts
        self.scores[part] = 0
        self.done_scores[part], self.done_filled[part] = -torch.inf, False
        steps = torch.arange(self.mask.shape[2], device=prompts.device)
        self.mask[part] = (steps < prompts[:, None])[:, None]
        self.held[part] = steps
        self.used = max(self.used, int(prompts.max()))
        return part

    def leave(self, slot: int) -> None:
        """Close a slot; the last one moves into its place (the cache must do the same)."""
        self.active -= 1
        for name in self._rows:
            rows = getattr(self, name)
            rows[slot] = rows[self.active]

    def step(self) -> Step:
        """Choose free columns for the newest token of each beam, and say what each may look at."""
        part, beam = slice(0, self.active), self.options.beam
        mask = self.mask[part]
        free = (~mask.any(1)).cumsum(1)  # (A, C) free columns up to here
        wanted = torch.arange(1, beam + 1, device=mask.device).expand(self.active, -1).contiguous()
        columns = torch.searchsorted(free, wanted)  # (A, K)
        places = (self.prompts[part] + self.lens[part] - 1)[:, None].expand(-1, beam)
        mask.scatter_(2, columns[..., None], True)
        self.held[part].scatter_(1, columns, places)
        self.used = int(mask.any(1).any(0).nonzero().max()) + 1
        view = mask[:, :, : self.used]
        wall = torch.zeros(view.shape, device=view.device).masked_fill_(~view, -torch.inf)
        return Step(columns, places, self.used, wall, self.held[part, : self.used])

    def advance(self, part: slice, logits: Tensor) -> Tensor:
        """Go on by one token in the slots of `part`; say which of them have ended (n,).

        logits: (n, K, V) of the newest token of each beam, or (n, 1, V) after the prompt; overwritten.
        """
        totals, gains, tokens, parents = self._candidates(part, logits)
        beam, length = self.options.beam, self.lens[part, None] + 1
        hits = torch.isin(tokens, self.ends) | (length >= self.limits[part, None])
        ending = hits[:, :beam] & (totals[:, :beam] > -torch.inf)
        if bool(ending.any()):
            self._finish(part, ending, totals[:, :beam], gains[:, :beam], tokens[:, :beam], parents[:, :beam])
        best, order = torch.where(hits, -torch.inf, totals).topk(beam, dim=1)
        parents, tokens, gains = parents.gather(1, order), tokens.gather(1, order), gains.gather(1, order)
        self.scores[part] = best
        self.tokens[part] = self._extend(self.tokens[part], parents, tokens)
        self.gains[part] = self._extend(self.gains[part], parents, gains, part)
        self.mask[part] = self.mask[part].gather(1, parents[..., None].expand(-1, -1, self.mask.shape[2]))
        self.lens[part] += 1
        return self._ended(part, hits)
