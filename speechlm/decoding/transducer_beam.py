"""Beam search with a transducer that goes along alignments of one length, with exact merging (Saon et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.transducer import BLANK, Head, Predictor

Answers = list[list[Hypothesis]]


@torch.inference_mode()
def transducer_beam(head: Head, encoded: Seq, *, beam: int = 8, nbest: int = 1, max_symbols: int = 5) -> Answers:
    """Search for the most probable unit sequences: all alignments of one sequence that are seen are summed.

    Alignment-length-synchronous search (Saon, Tüske, Audhkhasi, ICASSP 2020): after i moves every hypothesis with u
    units is at encoder step i - u. Two alignments of one sequence therefore meet at the same place, and are added up
    exactly. All hypotheses of all utterances are scored at once; an utterance ends when what is still running cannot
    get before its `nbest` finished hypotheses any more.

    encoded: (B, T, D). max_symbols: at most this many units for each encoder step, on the whole utterance. Gives
    `nbest` hypotheses, best first; score: log probability of the unit sequence over the alignments seen (with a wide
    beam over all of them); token_scores: log probability of each unit where its first alignment put it out.
    """
    if not 1 <= nbest <= beam:
        raise UserError(f"nbest: must be between 1 and beam ({beam}), is {nbest}")
    if max_symbols < 1:
        raise UserError(f"max_symbols: must be at least 1, is {max_symbols}")
    search = _Search(head, encoded, beam, nbest, max_symbols)
    while search.running():
        search.advance()
    return [finished.best() for finished in search.finished]


@dataclass
class _Finished:
    """The best finished hypotheses of an utterance, best first."""

    nbest: int
    items: list[Hypothesis] = field(default_factory=list)

    def add(self, hypothesis: Hypothesis) -> None:
        self.items = sorted([*self.items, hypothesis], key=lambda one: -one.score)[: self.nbest]

    def bar(self) -> float:
        """What a further hypothesis must be better than."""
        return self.items[-1].score if len(self.items) == self.nbest else -float("inf")

    def best(self) -> list[Hypothesis]:
        return self.items or [Hypothesis([], 0.0, [])]


class _Search:
    """K hypotheses of each of B utterances: scores (B, K); tokens and gains (B, K, N); lens (B, K)."""

    def __init__(self, head: Head, encoded: Seq, beam: int, nbest: int, max_symbols: int) -> None:
        rows, device = len(encoded.lens), encoded.lens.device
        self.head, self.beam, self.steps = head, beam, encoded.lens
        self.acoustic = head.encoder_proj(encoded.zero_padding().data)  # (B, T, joint_dim)
        self.limits = encoded.lens * max_symbols
        self.predictor = Predictor(head, rows * beam, device)
        self.scores = torch.full((rows, beam), -torch.inf, device=device)
        self.scores[:, 0] = torch.where(encoded.lens > 0, 0.0, -torch.inf)
        self.lens = torch.zeros(rows, beam, dtype=torch.int64, device=device)
        self.tokens = torch.zeros(rows, beam, 0, dtype=torch.int64, device=device)
        self.gains = torch.zeros(rows, beam, 0, device=device)
        self.finished = [_Finished(nbest) for _ in range(rows)]
        self.bars = torch.full((rows,), -torch.inf, device=device)
        self.moves = 0

    def running(self) -> bool:
        """Stop utterances that cannot get better; say if one is left."""
        # All that may still come is a part of what is running: the sum bounds it, also after merging.
        hope = self.scores.logsumexp(1)
        self.scores = torch.where((hope > self.bars)[:, None], self.scores, -torch.inf)
        return bool((self.scores > -torch.inf).any())

    def advance(self) -> None:
        """Make one move: every hypothesis puts out a blank or a unit, equal ones are merged, the best K stay."""
        log_probs = self._log_probs()
        blank = self.scores + log_probs[..., BLANK]  # (B, K)
        grown = self.scores[..., None] + log_probs  # (B, K, V)
        grown[..., BLANK] = -torch.inf
        grown.masked_fill_((self.lens >= self.limits[:, None])[..., None], -torch.inf)
        blank = self._merge(blank, grown)
        blank = self._finish(blank)
        size = grown.shape[2]
        candidates = torch.cat([blank, grown.flatten(1)], dim=1)
        self.scores, chosen = candidates.topk(self.beam, dim=1)
        grows = (chosen >= self.beam) & (self.scores > -torch.inf)
        place = (chosen - self.beam).clamp(min=0)
        parents = torch.where(grows, place // size, chosen.clamp(max=self.beam - 1))
        units = torch.where(grows, place % size, BLANK)
        gains = log_probs.flatten(1).gather(1, parents * size + units)
        self._take(parents, grows, units, gains)
        self.moves += 1

    def _log_probs(self) -> Tensor:
        """Score the units at the place of each hypothesis (B, K, V), in fp32."""
        rows, beam = self.scores.shape
        at = (self.moves - self.lens).clamp(min=0, max=self.acoustic.shape[1] - 1)  # (B, K)
        heard = self.acoustic[torch.arange(rows, device=at.device)[:, None], at]  # (B, K, joint_dim)
        return self.head.meet(heard, self.predictor.text.view(rows, beam, -1)).float().log_softmax(-1)

    def _merge(self, blank: Tensor, grown: Tensor) -> Tensor:
        """Add to a hypothesis's blank (B, K) what comes from the one that lacks its last unit; use that up in `grown`."""
        if not self.tokens.shape[2]:
            return blank
        last = self.tokens.gather(2, (self.lens - 1).clamp(min=0)[..., None])[..., 0]  # (B, K)
        inside = torch.arange(self.tokens.shape[2], device=last.device) < (self.lens - 1)[..., None]  # (B, K, N)
        same = (self.tokens[:, :, None] == self.tokens[:, None]) | ~inside[:, :, None]  # (B, child, parent, N)
        child_of = same.all(-1) & (self.lens[:, :, None] == self.lens[:, None] + 1)
        alive = self.scores > -torch.inf
        child_of &= alive[:, :, None] & alive[:, None]
        index = last[:, None].expand(-1, grown.shape[1], -1)  # (B, parent, child)
        flow = torch.where(child_of, grown.gather(2, index).transpose(1, 2), -torch.inf).amax(-1)  # (B, child)
        used = torch.zeros_like(grown, dtype=torch.int64).scatter_add_(2, index, child_of.transpose(1, 2).long()) > 0
        grown.masked_fill_(used, -torch.inf)
        return torch.logaddexp(blank, flow)

    def _finish(self, blank: Tensor) -> Tensor:
        """Take out the hypotheses whose blank (B, K) was their last."""
        ends = (self.moves - self.lens == self.steps[:, None] - 1) & (blank > -torch.inf)
        for row, k in ends.nonzero().tolist():
            size = int(self.lens[row, k])
            tokens, gains = (part[row, k, :size].tolist() for part in (self.tokens, self.gains))
            self.finished[row].add(Hypothesis(tokens, float(blank[row, k]), gains))
            self.bars[row] = self.finished[row].bar()
        return blank.masked_fill(ends, -torch.inf)

    def _take(self, parents: Tensor, grows: Tensor, units: Tensor, gains: Tensor) -> None:
        """Let the chosen (B, K) be the hypotheses."""
        self.lens = self.lens.gather(1, parents)
        size = int((self.lens + grows.long()).max())
        wide = parents[..., None].expand(-1, -1, size)
        more = max(0, size - self.tokens.shape[2])
        self.tokens, self.gains = (pad(part, (0, more))[..., :size].gather(1, wide) for part in (self.tokens, self.gains))
        row, k = grows.nonzero(as_tuple=True)
        self.tokens[row, k, self.lens[row, k]] = units[row, k]
        self.gains[row, k, self.lens[row, k]] = gains[row, k]
        self.lens = self.lens + grows.long()
        self.predictor.choose((torch.arange(len(parents), device=parents.device)[:, None] * self.beam + parents).flatten())
        self.predictor.read(row * self.beam + k, units[row, k])
