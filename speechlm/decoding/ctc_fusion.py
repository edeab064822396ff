"""The CTC head's opinion in the LLM's beam search: how probable is it that the speech begins with this text?

Joint decoding keeps an attention model from looping and from skipping (Watanabe et al. 2017, section II.C); the
prefix score is computed for all candidates of all beams at once (after Seki et al. 2019), here with cumulative sums
over frames instead of a loop.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechlm.core.errors import UserError

BLANK = 0
_NEVER = -1e4
"""Log probability of saying something in a padded frame; finite, so that cumulative sums stay numbers."""


@dataclass
class CtcFusion:
    """Adds `weight` times the growth of the log CTC prefix probability.

    logits_of: utterance id -> its CTC logits (T, V), blank 0. units_of: whole characters -> units of the CTC head
    (units must be characters or smaller, because a text grows token by token). pieces: the bytes of every LLM token.
    end_ids: the LLM's end tokens, scored with the probability that the text is complete. candidates: how many of the
    LLM's best tokens of each beam are scored; the others are ruled out.
    """

    weight: float
    logits_of: Callable[[str], Tensor]
    units_of: Callable[[str], Sequence[int]]
    pieces: Sequence[bytes]
    end_ids: Sequence[int]
    candidates: int = 16

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise UserError(f"ctc candidates: must be at least 1, is {self.candidates}")

    def start(self, slots: int, beam: int, device: torch.device) -> CtcPrefixes:
        """Make the state of one stream."""
        return CtcPrefixes(self, slots, beam, device)


class CtcPrefixes:
    """Prefix probabilities of K beams in S slots.

    frames (S, T, V): log probabilities; a padded frame says blank for certain. spoken, blank (S, K, T): log probability
    of the beam's text in frames 0..t by how the path ends. score (S, K): log probability that the text begins so. last
    (S, K): last unit, BLANK if there is none. texts: per slot and beam, whether it has begun, and unfinished bytes.
    """

    def __init__(self, options: CtcFusion, slots: int, beam: int, device: torch.device) -> None:
        self.options = options
        self.candidates = options.candidates
        self.slots, self.beam, self.device = slots, beam, device
        self.frames = torch.zeros(slots, 0, 0, device=device)
        self.spoken = self.blank = torch.zeros(slots, beam, 0, dtype=torch.float64, device=device)
        self.score_now = torch.zeros(slots, beam, dtype=torch.float64, device=device)
        self.last = torch.zeros(slots, beam, dtype=torch.int64, device=device)
        self.texts: list[list[tuple[bool, bytes]]] = []
        self._known: dict[tuple[bool, bytes, int], tuple[list[int], bool, bytes]] = {}
        self._grown: tuple[Tensor, ...] = ()

    def enter(self, names: list[str]) -> None:
        """Open slots for utterances."""
        for name in names:
            frames = self.options.logits_of(name).to(self.device).float().log_softmax(-1)
            self._reserve(*frames.shape)
            slot = len(self.texts)
            self.frames[slot] = _NEVER
            self.frames[slot, :, BLANK] = 0.0
            self.frames[slot, : len(frames)] = frames
            self.texts.append([(False, b"")] * self.beam)
            self.blank[slot] = self.frames[slot, :, BLANK].double().cumsum(0)
            self.spoken[slot] = -torch.inf
            self.score_now[slot] = 0
            self.last[slot] = BLANK

    def _reserve(self, steps: int, size: int) -> None:
        more = max(0, steps - self.frames.shape[1])
        if self.frames.shape[2] != size:
            self.frames = self.frames.new_zeros(self.slots, self.frames.shape[1], size)
        if more:
            self.frames = pad(self.frames, (0, 0, 0, more), value=_NEVER)
            self.frames[:, -more:, BLANK] = 0.0
            # a certain blank ends every path as it is: nothing is spoken last, all is blank last
            total = self.blank.new_zeros(self.slots, self.beam, 1)
            if self.blank.shape[2]:
                total = torch.logaddexp(self.blank[..., -1:], self.spoken[..., -1:])
            self.blank = torch.cat([self.blank, total.expand(-1, -1, more)], 2)
            self.spoken = pad(self.spoken, (0, more), value=-torch.inf)

    def leave(self, slot: int, last: int) -> None:
        """Close a slot; slot `last` moves into its place."""
        for rows in (self.frames, self.spoken, self.blank, self.score_now, self.last):
            rows[slot] = rows[last]
        text = self.texts.pop()
        if slot < last:
            self.texts[slot] = text

    def score(self, part: slice, tokens: Tensor) -> Tensor:
        """Give what to add (n, K, M) to candidate tokens (n, K, M); K may be 1 right after the prompt."""
        slots, beams, count = tokens.shape
        units, lens = self._units(part, tokens.tolist())
        shape = (slots, beams, count)
        state = [
            self.spoken[part, :beams, None].expand(*shape, -1), self.blank[part, :beams, None].expand(*shape, -1),
            self.score_now[part, :beams, None].expand(shape), self.last[part, :beams, None].expand(shape),
        ]  # fmt: skip
        for place in range(units.shape[3]):
            grown = self._extend(part, units[..., place], *state)
            real = place < lens
            state = [
                torch.where(real[..., None] if old.dim() == 4 else real, new, old)
                for new, old in zip(grown, state, strict=True)
            ]
        self._grown = (tokens, *state)
        ends = torch.isin(tokens, torch.tensor(self.options.end_ids, device=self.device))
        whole = torch.logaddexp(self.spoken[part, :beams, -1], self.blank[part, :beams, -1])[..., None]
        after = torch.where(ends, whole, state[2])
        gain = after - self.score_now[part, :beams, None]
        return (self.options.weight * torch.where(after.isneginf(), -torch.inf, gain)).float()

    def choose(self, part: slice, parents: Tensor, tokens: Tensor) -> None:
        """Take over the tokens (n, K) that beams have chosen behind their parents (n, K)."""
        seen, *state = self._grown
        rows = torch.arange(len(tokens), device=self.device)[:, None]
        place = (seen[rows, parents] == tokens[..., None]).int().argmax(-1)  # (n, K)
        for name, grown in zip(("spoken", "blank", "score_now", "last"), state, strict=True):
            getattr(self, name)[part] = grown[rows, parents, place]
        for slot, (own_parents, own_tokens) in enumerate(
            zip(parents.tolist(), tokens.tolist(), strict=True), part.start
        ):
            before = self.texts[slot]
            pairs = zip(own_parents, own_tokens, strict=True)
            self.texts[slot] = [self._spell(*before[parent], token)[1:] for parent, token in pairs]

    def _extend(
        self, part: slice, units: Tensor, spoken: Tensor, blank: Tensor, _: Tensor, last: Tensor
    ) -> list[Tensor]:
        """Grow texts by one unit each (n, K, M), in log space.

        With S_t the sum of the unit's log probabilities up to t, r_t = (r_{t-1} + phi_{t-1}) p_t becomes a cumulative
        sum of phi_{t-1} / exp(S_{t-1}).
        """
        slots = torch.arange(part.start, part.stop, device=self.device)[:, None, None]
        own = self.frames[slots, :, units].double()  # (n, K, M, T)
        silence = self.frames[part, :, BLANK].double()[:, None, None]  # (n, 1, 1, T)
        both = torch.where((units == last)[..., None], blank, torch.logaddexp(spoken, blank))
        begin = torch.where(last == BLANK, 0.0, -torch.inf)[..., None]  # only an empty text is complete before frame 0
        enter = torch.cat([begin, both[..., :-1]], -1)  # phi_{t-1}
        score = (enter + own).logsumexp(-1)
        total = own.cumsum(-1)
        spoken = total + (enter - (total - own)).logcumsumexp(-1)
        total = silence.cumsum(-1)
        ended = torch.cat([torch.full_like(spoken[..., :1], -torch.inf), spoken[..., :-1]], -1)
        blank = total + (ended - (total - silence)).logcumsumexp(-1)
        return [spoken, blank, score, units]

    def _units(self, part: slice, tokens: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
        """Look up the units that candidates add: (n, K, M, most), padded, and how many (n, K, M)."""
        found = [
            [[self._spell(*self.texts[slot][beam], token)[0] for token in row] for beam, row in enumerate(rows)]
            for slot, rows in enumerate(tokens, part.start)
        ]
        lens = torch.tensor([[[len(units) for units in row] for row in rows] for rows in found], device=self.device)
        most = int(lens.max())
        padded = [[[units + [1] * (most - len(units)) for units in row] for row in rows] for rows in found]
        return torch.tensor(padded, device=self.device, dtype=torch.int64).view(*lens.shape, most), lens

    def _spell(self, begun: bool, rest: bytes, token: int) -> tuple[list[int], bool, bytes]:
        """Give the units that a token adds, and the state of the text behind it; leading blanks are no part of it."""
        key = (begun, rest, token)
        if key not in self._known:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            new = "" if token in self.options.end_ids else decoder.decode(rest + self.options.pieces[token])
            text = new if begun else new.lstrip()
            self._known[key] = (
                list(self.options.units_of(text)) if text else [],
                begun or bool(text),
                decoder.getstate()[0],
            )
        return self._known[key]
