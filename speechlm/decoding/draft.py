"""Greedy search that verifies a draft: many tokens in one forward pass of the LLM, the same answer.

Speculative decoding (Leviathan et al. 2023, section 2; Stern et al. 2018 for the greedy case) with the CTC head's greedy
text as the draft: it costs nothing, the encoder has computed it already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from speechlm.core.errors import UserError
from speechlm.decoding.beams import BROKEN, ENDED, GOES_ON, apply_filters
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.filters import log_norm
from speechlm.decoding.hypothesis import Hypothesis
from speechlm.decoding.linear import LinearReader
from speechlm.decoding.llm import LLMBeamSearch, Prompt, Run


class DraftedSearch(LLMBeamSearch):
    """Greedy search of an LLM, token for token that of `LLMBeamSearch` with beam 1, bans, penalties and limits included.

    A draft's tokens are read together with what comes before them. Those that the LLM would have said itself are kept,
    the first other one is replaced by the LLM's, and what of the draft fits behind that is tried next.

    draft_of: utterance id -> the tokens of its draft, without the end token. window: drafted tokens read at once at the most;
    fewer are tried after a draft that was wrong. `effort` counts the forward passes made and saved; `counts` holds for every
    utterance that has left its passes, and how many there are without a draft; the caller takes them out.
    """

    def __init__(
        self,
        model: nn.Module,
        embed: Callable[[Tensor], Tensor],
        end_ids: Sequence[int],
        options: SearchOptions,
        draft_of: Callable[[str], list[int]],
        *,
        window: int = 32,
        **others: Any,
    ) -> None:
        super().__init__(model, embed, end_ids, options, **others)
        if options.beam != 1 or self.lm is not None or self.ctc is not None or self.hot is not None:
            raise UserError("draft: verifies greedy search of the LLM alone; take beam 1 and no fusion")
        if options.graphs:
            raise UserError("graphs: a draft's steps have no fixed shape; leave out decode.graphs or decode.draft")
        self.draft_of, self.window = draft_of, window
        self.counts: dict[str, tuple[int, int]] = {}

    def stream(self, prompts: Iterable[Prompt]) -> Iterator[tuple[str, list[Hypothesis]]]:
        """As `LLMBeamSearch.stream`."""
        return _DraftRun(self).results(iter(prompts))


@dataclass
class Text:
    """A draft, and the answer so far beside it.

    edits[j]: how far the answer is from the first j tokens of the draft (edit distance); says where to go on in it.
    """

    prompt: int
    limit: int
    draft: list[int]
    window: int
    tokens: list[int] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    passes: int = 0

    def __post_init__(self) -> None:
        self.edits = list(range(len(self.draft) + 1))
        self.most = self.window

    def add(self, token: int, gain: float) -> None:
        """Write the answer's next token."""
        self.tokens.append(token)
        self.gains.append(gain)
        row = [self.edits[0] + 1]
        for place, drafted in enumerate(self.draft):
            row.append(min(self.edits[place] + (token != drafted), self.edits[place + 1] + 1, row[place] + 1))
        self.edits = row

    def propose(self) -> list[int]:
        """Give what the draft says next: behind the part of it that is nearest to the answer, the longest of equals."""
        nearest = min(self.edits)
        place = max(place for place, edits in enumerate(self.edits) if edits == nearest)
        return self.draft[place : place + max(0, min(self.window, self.limit - len(self.tokens) - 1))]

    def learn(self, taken: int) -> None:
        """Try about twice as many next time as were taken."""
        self.window = min(self.most, 2 * taken + 2)


class _DraftRun(Run):
    """One stream of utterances through the slots, each as far on as its draft has helped it."""

    search: DraftedSearch

    def _start(self, device: torch.device) -> None:
        if self.readers:
            return
        self.reader = LinearReader(self.model, self.search.embed, self.options.batch_slots, device)
        self.readers = [self.reader]
        self.texts: list[Text] = []
        self.ends = torch.tensor(self.search.end_ids, device=device)

    def _enter(self, batch: list[Prompt]) -> tuple[int, list[int]]:
        start = time.perf_counter()
        first = len(self.texts)
        for name, prompt, limit in batch:
            draft = self.search.draft_of(name) + self.search.end_ids[:1]
            self.texts.append(Text(len(prompt), limit, draft, self.search.window))
            self.ids.append(name)
        drafts = [text.propose() for text in self.texts[first:]]
        logits = self.reader.enter([prompt for _, prompt, _ in batch], drafts)
        states = self._judge(first, drafts, logits)
        self.search.effort.prompt_steps += sum(len(prompt) for _, prompt, _ in batch)
        self.search.effort.prefill_seconds += time.perf_counter() - start
        return first, states

    def _go_on(self) -> tuple[int, list[int]]:
        start = time.perf_counter()
        drafts = [text.propose() for text in self.texts]
        read = [[text.tokens[-1], *draft] for text, draft in zip(self.texts, drafts, strict=True)]
        states = self._judge(0, drafts, self.reader.extend(read))
        self.search.effort.tokens += sum(map(len, read))
        self.search.effort.decode_seconds += time.perf_counter() - start
        return 0, states

    def _judge(self, first: int, drafts: list[list[int]], logits: Tensor) -> list[int]:
        """Take over the tokens that the LLM says itself; logits (R, V) stand behind each text and each drafted token."""
        rows = [
            [*text.tokens, *draft[:count]]
            for text, draft in zip(self.texts[first:], drafts, strict=True)
            for count in range(len(draft) + 1)
        ]
        tokens, gains = self._choose(rows, logits)
        states = []
        for slot, draft in enumerate(drafts, first):
            text, size = self.texts[slot], len(draft) + 1
            states.append(self._take(text, draft, tokens[:size], gains[:size]))
            self.reader.cut(slot, text.prompt + len(text.tokens) - 1)
            self.search.effort.passes += 1
            tokens, gains = tokens[size:], gains[size:]
        return states

    @torch.inference_mode()
    def _choose(self, rows: list[list[int]], logits: Tensor) -> tuple[list[int], list[float]]:
        """Find the best allowed token behind each row of tokens, and its log probability."""
        flat = logits.float()
        norm = log_norm(flat)
        lens = torch.tensor([len(row) for row in rows], device=flat.device)
        width = max(1, int(lens.max()))
        prefixes = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=flat.device)
        apply_filters(self.options, self.ends, flat, norm, prefixes, lens)
        if self.search.spelling is None:
            values, ids = flat.max(1, keepdim=True)
        else:
            values, ids = self.search.spelling.top(flat, rows, 1)
        return ids[:, 0].tolist(), (values - norm)[:, 0].tolist()

    def _take(self, text: Text, draft: list[int], tokens: list[int], gains: list[float]) -> int:
        """Write tokens as long as the draft has said the same before; say how it stands."""
        text.passes += 1
        for count, (token, gain) in enumerate(zip(tokens, gains, strict=True)):
            if gain != gain:  # a nan
                return BROKEN
            text.add(token, gain)
            if token in self.search.end_ids or len(text.tokens) == text.limit or gain == -float("inf"):
                return ENDED
            if count == len(draft) or token != draft[count]:
                text.learn(count)
                break
        return GOES_ON

    def _close(self, slot: int) -> list[Hypothesis]:
        text, last_text = self.texts[slot], self.texts.pop()
        self.search.counts[self.ids[slot]] = (text.passes, len(text.tokens))
        last = self.ids.pop()
        self.reader.leave(slot)
        if slot < len(self.ids):
            self.ids[slot], self.texts[slot] = last, last_text
        self.search.effort.saved_passes += len(text.tokens) - text.passes
        return [self._hypothesis(text)]

    def _hypothesis(self, text: Text) -> Hypothesis:
        if text.gains[-1] == -float("inf"):  # every token was forbidden
            return Hypothesis([], -float("inf"), [], 0.0, False)
        finished = text.tokens[-1] in self.search.end_ids
        score = sum(text.gains) / len(text.tokens) ** self.options.length_penalty
        kept = text.tokens[:-1] if finished else text.tokens
        if self.search.spelling is not None and self.search.spelling.valid:
            kept = kept[: self.search.spelling.trim(kept)]
        return Hypothesis(kept, score, text.gains[: len(kept)], text.gains[-1] if finished else 0.0, finished)
