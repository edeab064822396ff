"""The book-keeping of beam search for all slots at once: scores, tokens, finished hypotheses.

The rules are those of Hugging Face `generate` (transformers 5.23), slot by slot: an utterance's result never depends on
what is decoded beside it.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.filters import ban_ends, ban_ngrams, log_norm, penalise_repeats, top_tokens
from speechlm.decoding.hot_words import HotBeams
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.spelling import Spelling

GOES_ON, ENDED, BROKEN = 0, 1, 2


class Rescorer(Protocol):
    """Adds to the scores of a few candidates of each beam."""

    candidates: int
    """How many of each beam's best tokens are rescored."""

    def score(self, part: slice, tokens: Tensor) -> Tensor:
        """Give what to add (n, K, M) to candidate tokens (n, K, M) of the slots."""
        ...

    def choose(self, part: slice, parents: Tensor, tokens: Tensor) -> None:
        """Take over the tokens (n, K) that beams have chosen behind their parents (n, K)."""
        ...

    def leave(self, slot: int, last: int) -> None:
        """Close a slot; slot `last` moves into its place."""
        ...


def apply_filters(
    options: SearchOptions, ends: Tensor, logits: Tensor, norm: Tensor, tokens: Tensor, lens: Tensor
) -> None:
    """Apply the options' bans and penalties to logits (R, V), in place; tokens (R, N), of which lens (R,) are real."""
    if options.repetition_penalty != 1.0:
        penalise_repeats(logits, tokens, lens, options.repetition_penalty, norm if options.beam > 1 else 0.0)
    if options.no_repeat_ngram and options.no_repeat_unit == "token":
        ban_ngrams(logits, tokens, lens, options.no_repeat_ngram)
    if options.min_tokens:
        ban_ends(logits, lens, ends, options.min_tokens)


class Beams:
    """State of S slots with K beams each; the first `active` slots are in use.

    scores (S, K); tokens and gains (S, K, N): generated tokens and what each added to the score; lens, limits (S,):
    tokens so far and the most there may be; the names with `done_` hold the finished hypotheses, best first.
    """

    _rows = ("scores", "tokens", "gains", "lens", "limits",
             "done_scores", "done_tokens", "done_gains", "done_lens", "done_ended", "done_filled")  # fmt: skip

    def __init__(
        self,
        options: SearchOptions,
        end_ids: list[int],
        device: torch.device,
        spelling: Spelling | None = None,
        rescorer: Rescorer | None = None,
        hot: HotBeams | None = None,
    ) -> None:
        self.options = options
        self.spelling = spelling
        self.rescorer = rescorer
        self.hot = hot
        self.ends = torch.tensor(end_ids, device=device)
        # each beam has at most one candidate per end token, so this many always leave `beam` running ones
        self.keep = max(2, 1 + len(end_ids)) * options.beam
        self.active = 0
        slots, beam = options.batch_slots, options.beam

        def empty(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(slots, *shape, dtype=dtype, device=device)

        self.scores, self.done_scores = empty(beam, dtype=torch.float32), empty(beam, dtype=torch.float32)
        self.tokens, self.done_tokens = empty(beam, 0), empty(beam, 0)
        self.gains, self.done_gains = empty(beam, 0, dtype=torch.float32), empty(beam, 0, dtype=torch.float32)
        self.lens, self.limits, self.done_lens = empty(), empty(), empty(beam)
        self.done_ended, self.done_filled = empty(beam, dtype=torch.bool), empty(beam, dtype=torch.bool)

    def enter(self, limits: list[int]) -> slice:
        """Open slots for utterances with these limits; give their place."""
        longer = max(limits) - self.tokens.shape[2]
        if longer > 0:
            for name in ("tokens", "gains", "done_tokens", "done_gains"):
                setattr(self, name, pad(getattr(self, name), (0, longer)))
        part = slice(self.active, self.active + len(limits))
        self.active = part.stop
        self.limits[part] = torch.tensor(limits, device=self.limits.device)
        self.lens[part], self.scores[part] = 0, 0
        self.done_scores[part], self.done_filled[part] = -torch.inf, False
        if self.hot is not None:
            self.hot.enter(len(limits))
        return part

    def leave(self, slot: int) -> None:
        """Close a slot; the last one moves into its place."""
        self.active -= 1
        for name in self._rows:
            rows = getattr(self, name)
            rows[slot] = rows[self.active]
        if self.rescorer is not None:
            self.rescorer.leave(slot, self.active)
        if self.hot is not None:
            self.hot.leave(slot)

    def newest(self) -> Tensor:
        """Give the last token of each beam (A, K)."""
        tokens = self.tokens[: self.active]
        return tokens.gather(2, (self.lens[: self.active, None, None] - 1).expand(-1, tokens.shape[1], 1))[..., 0]

    def advance(self, part: slice, logits: Tensor, others: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Go on by one token in the slots of `part`.

        logits: (n, K, V) of the next token of each beam, or (n, 1, V) right after the prompt; overwritten. others:
        the same shape, log probabilities to add (of another model, weighted). Gives parents (n, K), and states (n,):
        GOES_ON, ENDED, or BROKEN by a nan.
        """
        totals, gains, tokens, parents = self._candidates(part, logits, others)
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
        self.lens[part] += 1
        if self.rescorer is not None:
            self.rescorer.choose(part, parents, tokens)
        if self.hot is not None:
            self.hot.choose(part, parents, tokens)
        return parents, self._states(part, hits)

    def _candidates(self, part: slice, logits: Tensor, others: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find the best continuations: totals, gains, tokens and parents, each (n, keep), best first."""
        slots, beams, _ = logits.shape
        flat = logits.flatten(0, 1).float()  # (n * K, V)
        norm = log_norm(flat)
        self._filter(part, flat, norm)
        if others is not None:
            flat += others.flatten(0, 1)
        taken = 0.0 if self.hot is None else self.hot.add(part, flat, self.lens[part] + 1 >= self.limits[part])
        values, ids = self._best_tokens(part, flat)
        gains = (values - norm + taken).view(slots, beams, -1)
        ids = ids.view(slots, beams, -1)
        if self.rescorer is not None:
            gains = gains + self.rescorer.score(part, ids)
        before = self.scores[part, :beams, None].expand_as(gains)
        totals, order = (before + gains).flatten(1).topk(min(self.keep, gains[0].numel()), dim=1)
        found = [totals, gains.flatten(1).gather(1, order), ids.flatten(1).gather(1, order), order // gains.shape[2]]
        short = self.keep - totals.shape[1]
        if short > 0:  # a vocabulary smaller than the candidates wanted
            found = [pad(tensor, (0, short), value=-torch.inf if i == 0 else 0) for i, tensor in enumerate(found)]
        return found[0], found[1], found[2], found[3]

    def _best_tokens(self, part: slice, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Choose the tokens (n * K, M) of each beam that are looked at: values and ids."""
        count = self.keep if self.rescorer is None else max(self.keep, self.rescorer.candidates)
        if self.spelling is None:
            return top_tokens(flat, count)
        beams, lens = len(flat) // (part.stop - part.start), self.lens[part].tolist()
        rows = self.tokens[part, :beams].tolist()
        suffixes = [row[:length] for slot, length in zip(rows, lens, strict=True) for row in slot]
        return self.spelling.top(flat, suffixes, count)

    def _filter(self, part: slice, logits: Tensor, norm: Tensor) -> None:
        """Apply bans and penalties to (n * K, V)."""
        beams = len(logits) // (part.stop - part.start)
        lens, tokens = self.lens[part].repeat_interleave(beams), self.tokens[part, :beams].flatten(0, 1)
        apply_filters(self.options, self.ends, logits, norm, tokens, lens)

    def _extended(self, part: slice, store: Tensor, parents: Tensor, new: Tensor) -> Tensor:
        """Take the parents' rows (n, K, N) and write the new entry behind each."""
        rows = store[part].gather(1, parents[..., None].expand(-1, -1, store.shape[2]))
        place = self.lens[part, None, None].expand(-1, parents.shape[1], 1)
        return rows.scatter_(2, place, new[..., None])

    def _finish(
        self, part: slice, ending: Tensor, totals: Tensor, gains: Tensor, tokens: Tensor, parents: Tensor
    ) -> None:
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

    def _states(self, part: slice, hits: Tensor) -> Tensor:
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
        found = []
        for k in range(self.options.nbest):
            if filled[k]:
                text, end = tokens[k][: lens[k]], gains[k][lens[k]] if ended[k] else 0.0
                size = self.spelling.trim(text) if self.spelling is not None and self.spelling.valid else len(text)
                found.append(Hypothesis(text[:size], scores[k], gains[k][:size], end, ended[k]))
        return found or [Hypothesis([], -float("inf"), [], 0.0, False)]
