"""Greedy and prefix beam search over CTC logits, all utterances of a batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.ctc_align import align
from speechlm.decoding.hypothesis import Hypothesis

BLANK = 0


def ctc_greedy(logits: Seq) -> list[Hypothesis]:
    """Take the best unit of every frame, merge repeats, drop blanks.

    logits: (B, T, V), blank 0. A hypothesis's score is the log probability of its best path; a token's score that of
    its surest frame.
    """
    log_probs, ids = logits.data.float().log_softmax(-1).max(-1)  # (B, T) both
    mask = logits.mask
    before = torch.nn.functional.pad(ids, (1, 0), value=BLANK)[:, :-1]
    starts = (ids != BLANK) & (ids != before) & mask
    run = starts.cumsum(1) - 1  # (B, T) which token a frame belongs to
    spoken = (ids != BLANK) & mask
    best = torch.full_like(log_probs, -torch.inf)
    best.scatter_reduce_(1, run.clamp(min=0), torch.where(spoken, log_probs, -torch.inf), "amax")
    totals = (log_probs * mask).sum(1).tolist()
    counts = starts.sum(1).tolist()
    return [
        Hypothesis(ids[b][starts[b]].tolist(), totals[b], best[b, : counts[b]].tolist())
        for b in range(len(counts))
    ]  # fmt: skip


@dataclass
class _Prefixes:
    """K prefixes of each utterance: tokens (B, K, N), lens (B, K); log probabilities (B, K) by how their paths end."""

    tokens: Tensor
    lens: Tensor
    blank: Tensor
    spoken: Tensor

    @property
    def total(self) -> Tensor:
        return torch.logaddexp(self.blank, self.spoken)

    @property
    def last(self) -> Tensor:
        """Last token of each prefix, BLANK if it is empty (B, K)."""
        last = self.tokens.gather(2, (self.lens - 1).clamp(min=0)[..., None])[..., 0]
        return torch.where(self.lens > 0, last, BLANK)


def ctc_prefix_beam(logits: Seq, *, beam: int = 8, nbest: int = 1, tokens_per_frame: int = 0) -> list[list[Hypothesis]]:
    """Search for the most probable token sequences: the paths of one sequence are summed, not only the best counted.

    Prefix search (Graves et al. 2006, section 3.2; Hannun et al. 2014, algorithm 1) in log space. Paths that meet in
    one prefix are merged exactly, also when a prefix left the beam and came back.

    logits: (B, T, V), blank 0. tokens_per_frame: how many of a frame's best units may extend a prefix; 0 means all.
    Gives `nbest` hypotheses for each utterance, best first: score = log probability of the token sequence over the
    paths seen; token_scores = mean log probability of the token's frames in its best alignment.
    """
    if not 1 <= nbest <= beam:
        raise UserError(f"nbest: must be between 1 and beam ({beam}), is {nbest}")
    if tokens_per_frame < 0:
        raise UserError(f"tokens_per_frame: must be 0 (all) or more, is {tokens_per_frame}")
    log_probs = logits.data.float().log_softmax(-1)
    rows, steps, size = log_probs.shape
    device = log_probs.device
    empty = torch.full((rows, beam), -torch.inf, device=device)
    lens = torch.zeros(rows, beam, dtype=torch.int64, device=device)
    state = _Prefixes(lens[..., None], lens, empty.clone(), empty)
    state.blank[:, 0] = 0.0
    width = min(tokens_per_frame or size - 1, size - 1)
    for step in range(steps):
        new = _advance(state, log_probs[:, step], width)
        alive = (step < logits.lens)[:, None]
        lens = torch.where(alive, new.lens, state.lens)
        tokens = torch.where(alive[..., None], new.tokens, torch.nn.functional.pad(state.tokens, (0, 1)))
        state = _Prefixes(
            tokens[..., : max(1, int(lens.max()))],
            lens,
            torch.where(alive, new.blank, state.blank),
            torch.where(alive, new.spoken, state.spoken),
        )
    return _hypotheses(Seq(log_probs, logits.lens), state, nbest)


def _advance(state: _Prefixes, frame: Tensor, width: int) -> _Prefixes:
    """Read one frame (B, V) of log probabilities; extend by its `width` best units."""
    beam = state.lens.shape[1]
    total, last = state.total, state.last
    stay_blank = total + frame[:, BLANK, None]
    stay_spoken = state.spoken + frame.gather(1, last)  # an empty prefix has spoken = -inf
    values, units = frame[:, 1:].topk(width, dim=1)  # (B, W)
    units = units + 1
    # a token that repeats the last one is a new token only behind a blank
    repeats = units[:, None] == last[..., None]  # (B, K, W)
    grown = values[:, None] + torch.where(repeats, state.blank[..., None], total[..., None])
    merged, taken = _merge(state, frame, units, total, last)
    stay_spoken = torch.logaddexp(stay_spoken, merged)
    grown = grown.masked_fill(taken, -torch.inf)
    stay = torch.logaddexp(stay_blank, stay_spoken)
    best = torch.cat([stay, grown.flatten(1)], 1).topk(beam, dim=1).indices  # (B, K)
    grows = best >= beam
    grow = (best - beam).clamp(min=0)
    parent = torch.where(grows, grow // width, best)
    unit = units.gather(1, grow % width)
    lens = state.lens.gather(1, parent)
    tokens = torch.nn.functional.pad(state.tokens, (0, 1)).gather(
        1, parent[..., None].expand(-1, -1, state.tokens.shape[2] + 1)
    )
    tokens.scatter_(2, lens[..., None], torch.where(grows, unit, 0)[..., None])
    here = torch.where(grows, 0, best)
    blank = torch.where(grows, -torch.inf, stay_blank.gather(1, here))
    spoken = torch.where(grows, grown.flatten(1).gather(1, grow), stay_spoken.gather(1, here))
    return _Prefixes(tokens, lens + grows.long(), blank, spoken)


def _merge(state: _Prefixes, frame: Tensor, units: Tensor, total: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Find prefixes that are another prefix of the beam and one token more.

    Gives the log probability (B, K) that flows into each from its parent, and (B, K, W) which extensions that uses up.
    """
    places = torch.arange(state.tokens.shape[2], device=frame.device)
    inside = places < (state.lens - 1)[..., None]  # (B, K, N) tokens of a prefix without its last
    same = (state.tokens[:, :, None] == state.tokens[:, None]) | ~inside[:, :, None]  # (B, child, parent, N)
    child_of = same.all(-1) & (state.lens[:, :, None] == state.lens[:, None] + 1)
    child_of &= (total > -torch.inf)[:, :, None] & (total > -torch.inf)[:, None]
    behind = torch.where(last[:, :, None] == last[:, None], state.blank[:, None], total[:, None])  # (B, child, parent)
    flow = torch.where(child_of, frame.gather(1, last)[..., None] + behind, -torch.inf).amax(-1)
    taken = (child_of[..., None] & (last[:, :, None, None] == units[:, None, None])).any(1)  # (B, parent, W)
    return flow, taken


def _hypotheses(log_probs: Seq, state: _Prefixes, nbest: int) -> list[list[Hypothesis]]:
    scores, order = state.total.sort(1, descending=True)
    answers: list[list[Hypothesis]] = []
    for row, (best, places) in enumerate(zip(scores[:, :nbest].tolist(), order[:, :nbest].tolist(), strict=True)):
        texts = [state.tokens[row, k, : state.lens[row, k]].tolist() for k in places]
        kept = [(text, score) for text, score in zip(texts, best, strict=True) if score > -float("inf")]
        own = log_probs.data[row : row + 1].expand(len(kept), -1, -1)
        spans = align(Seq(own, log_probs.lens[row : row + 1].expand(len(kept))), [text for text, _ in kept])
        answers.append(
            [Hypothesis(text, score, [s.score for s in span]) for (text, score), span in zip(kept, spans, strict=True)]
        )
    return answers
