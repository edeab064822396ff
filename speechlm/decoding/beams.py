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

BROKEN = 2


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

    def newest(self) -> Tensor:
        """Give the last token of each beam (A, K)."""
        tokens = self.tokens[: self.active]
        return tokens.gather(2, (self.lens[: self.active, None, None] - 1).expand(-1, tokens.shape[1], 1))[..., 0]

    def advance(self, part: slice, logits: Tensor, fresh: bool) -> Tensor:
        """Go on by one token in the slots of `part`; say of each (n,) if it goes on, has ended, or is BROKEN by a nan.

        logits: (n, K, V) of the newest token of each beam, or (n, 1, V) after the prompt (`fresh`); overwritten.
        """
        totals, gains, tokens, parents = self._candidates(part, logits, fresh)
        beam, length = self.options.beam, self.lens[part, None] + 1
        hits = torch.isin(tokens, self.ends) | (length >= self.limits[part, None])
        ending = hits[:, :beam] & (totals[:, :beam] > -torch.inf)
        if bool(ending.any()):
            self._finish(part, ending, totals[:, :beam], gains[:, :beam], tokens[:, :beam], parents[:, :beam])
        best, order = torch.where(hits, -torch.inf, totals).topk(beam, dim=1)
        parents, tokens, gains = parents.gather(1, order), tokens.gather(1, order), gains.gather(1, order)
        self.scores[part] = best
        self.tokens[part] = self._extended(part, self.tokens, parents, tokens)
        self.gains[part] = self._extended(part, self.gains, parents, gains)
        self.mask[part] = self.mask[part].gather(1, parents[..., None].expand(-1, -1, self.mask.shape[2]))
        self.lens[part] += 1
        return self._ended(part, hits)

    def _candidates(self, part: slice, logits: Tensor, fresh: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find the best continuations: totals, gains, tokens and parents, each (n, keep), best first."""
        slots, beams, _ = logits.shape
        flat = logits.flatten(0, 1).float()  # (n * K, V)
        norm = log_norm(flat)
        self._filter(part, flat, norm, fresh)
        values, ids = top_tokens(flat, self.keep)
        gains = (values - norm).view(slots, -1)  # (n, K * keep)
        before = self.scores[part, :beams].repeat_interleave(values.shape[1], 1)
        totals, order = (before + gains).topk(min(self.keep, gains.shape[1]), dim=1)
        found = [totals, gains.gather(1, order), ids.view(slots, -1).gather(1, order), order // values.shape[1]]
        short = self.keep - totals.shape[1]
        if short > 0:  # a vocabulary smaller than the candidates wanted
            found = [pad(tensor, (0, short), value=-torch.inf if i == 0 else 0) for i, tensor in enumerate(found)]
        return tuple(found)

    def _filter(self, part: slice, logits: Tensor, norm: Tensor, fresh: bool) -> None:
        """Apply bans and penalties to (n * K, V)."""
        options = self.options
        lens = self.lens[part].repeat_interleave(1 if fresh else options.beam)
        tokens = self.tokens[part].flatten(0, 1)
        if options.repetition_penalty != 1.0 and not fresh:
            penalise_repeats(logits, tokens, lens, options.repetition_penalty, norm if options.beam > 1 else 0.0)
        if options.no_repeat_ngram and options.no_repeat_unit == "token" and not fresh:
            ban_ngrams(logits, tokens, lens, options.no_repeat_ngram)
        if options.min_tokens:
            ban_ends(logits, lens, self.ends, options.min_tokens)

    def _extended(self, part: slice, store: Tensor, parents: Tensor, new: Tensor) -> Tensor:
        """Take the parents' rows (n, K, N) and write the new entry behind each."""
        rows = store[part].gather(1, parents[..., None].expand(-1, -1, store.shape[2]))
        place = self.lens[part, None, None].expand(-1, parents.shape[1], 1)
        return rows.scatter_(2, place, new[..., None])

    def _finish(self, part: slice, ending: Tensor, totals: Tensor, gains: Tensor, tokens: Tensor, parents: Tensor) -> None:
        """Put the candidates that end (n, K) among the finished hypotheses; the best K of all stay."""
        length = self.lens[part, None] + 1
        ended = torch.isin(tokens, self.ends)
        scores = torch.where(ending, totals / length**self.options.length_penalty, -torch.inf)
        new = {
            "done_scores": scores,
            "done_filled": ending,
            "done_ended": ended,
            "done_lens": length - ended.long(),
            "done_tokens": self._extended(part, self.tokens, parents, tokens),
            "done_gains": self._extended(part, self.gains, parents, gains),
        }
        best = torch.cat([self.done_scores[part], scores], 1).topk(self.options.beam, dim=1).indices
        for name, rows in new.items():
            merged = torch.cat([getattr(self, name)[part], rows], 1)
            index = best if rows.dim() == 2 else best[..., None].expand(-1, -1, rows.shape[2])
            getattr(self, name)[part] = merged.gather(1, index)

    def _ended(self, part: slice, hits: Tensor) -> Tensor:
        """Say which slots have ended, because nothing better can come or nothing at all, and which are BROKEN (n,)."""
        options, full = self.options, self.done_filled[part].all(1)
        far = options.early_stopping == "never" and options.length_penalty > 0
        length = self.limits[part] if far else self.lens[part]
        hope = self.scores[part, 0] / length**options.length_penalty
        worst = torch.where(full, self.done_scores[part, -1], -1e9)
        ended = (hope <= worst) | hits.all(1)
        if options.early_stopping is True or options.beam == 1:  # greedy search ends with the first end token
            ended |= full
        return torch.where(hope.isnan(), BROKEN, ended.long())

    def take(self, slot: int) -> list[Hypothesis]:
        """Give the finished hypotheses of a slot, best first."""
        lens, ended = self.done_lens[slot].tolist(), self.done_ended[slot].tolist()
        scores, filled = self.done_scores[slot].tolist(), self.done_filled[slot].tolist()
        tokens, gains = self.done_tokens[slot].tolist(), self.done_gains[slot].tolist()
        found = [
            Hypothesis(tokens[k][: lens[k]], scores[k], gains[k][: lens[k]], gains[k][lens[k]] if ended[k] else 0.0, ended[k])
            for k in range(self.options.nbest)
            if filled[k]
        ]
        return found or [Hypothesis([], -float("inf"), [], 0.0, False)]
