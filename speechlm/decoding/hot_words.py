"""Hot words in the beam: the tokens of a listed phrase are favoured while it is being spelt, and paid back if it is not.

Contextual biasing by a trie over the LLM's tokens (shallow fusion, Zhao et al., Interspeech 2019, section 2.2). The bonus
of a text has a definition of its own, so that it does not depend on how the search came there: the most that phrases
which do not overlap are worth in it, plus, while the search runs, what an unfinished phrase at its end has earned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spelt:
    """One way to spell a phrase: its tokens, what each adds to the score, and whether it counts at the text's start only."""

    tokens: tuple[int, ...]
    gains: tuple[float, ...]
    at_start: bool = False


@dataclass
class _Node:
    """A beginning of phrases. promise: the most it may have earned; worth: what it is worth as a whole phrase, 0 if none."""

    depth: int
    promise: float = 0.0
    worth: float = 0.0
    children: dict[int, int] = field(default_factory=dict)
    shorter: int = 0


@dataclass(frozen=True)
class _State:
    """Where a beam stands: the longest beginning of a phrase that its text ends with, and what came before.

    before[k]: worth of the whole phrases in the text without its last k tokens, relative to the whole text's.
    """

    node: int
    before: tuple[float, ...] = (0.0,)


class HotWords:
    """The phrases as an automaton (Aho and Corasick 1975), made once for all streams.

    Node 0 is the text so far, node 1 the text's start, where phrases without a blank before them may begin too.
    """

    def __init__(self, phrases: Sequence[Spelt]) -> None:
        self.nodes = [_Node(0), _Node(0)]
        for phrase in phrases:
            self._add(1, phrase)
            if not phrase.at_start:
                self._add(0, phrase)
        self._link()
        self._tables: dict[tuple[_State, bool], tuple[float, dict[int, float]]] = {}
        first = self.nodes[0].children
        self.first_tokens = list(first)
        self.first_gains = {last: [self._gain(_State(0), token, last) for token in first] for last in (False, True)}

    def start(self, device: torch.device) -> HotBeams:
        """Make the state of one stream."""
        return HotBeams(self, device)

    def _add(self, root: int, phrase: Spelt) -> None:
        here, total = root, 0.0
        for token, gain in zip(phrase.tokens, phrase.gains, strict=True):
            total += gain
            if token not in self.nodes[here].children:
                self.nodes[here].children[token] = len(self.nodes)
                self.nodes.append(_Node(self.nodes[here].depth + 1))
            here = self.nodes[here].children[token]
            self.nodes[here].promise = max(self.nodes[here].promise, total)
        self.nodes[here].worth = max(self.nodes[here].worth, total)

    def _link(self) -> None:
        """Point every node to the longest beginning that its text also ends with, nearest to the roots first."""
        row = [*self.nodes[0].children.values(), *self.nodes[1].children.values()]
        while row:
            below = []
            for place in row:
                for token, child in self.nodes[place].children.items():
                    self.nodes[child].shorter = self._go(self.nodes[place].shorter, token)
                    below.append(child)
            row = below

    def _go(self, node: int, token: int) -> int:
        """Give the longest beginning behind `node` and one more token."""
        while token not in self.nodes[node].children:
            if node == 0:
                return 0
            node = self.nodes[node].shorter
        return self.nodes[node].children[token]

    def _chain(self, node: int) -> Iterator[_Node]:
        """Go through all beginnings that the text ends with, the longest first."""
        while self.nodes[node].depth:
            yield self.nodes[node]
            node = self.nodes[node].shorter

    def _pending(self, state: _State) -> float:
        """What the unfinished phrase has earned beyond the whole ones."""
        return max([0.0, *(state.before[node.depth] + node.promise for node in self._chain(state.node))])

    def grow(self, state: _State, token: int) -> tuple[_State, float]:
        """Read one token: the new state, and the worth of whole phrases that came with it."""
        place = self._go(state.node, token)
        done = [state.before[node.depth - 1] + node.worth for node in self._chain(place) if node.worth]
        worth = max([0.0, *done])
        before = (0.0, *(value - worth for value in state.before[: self.nodes[place].depth]))
        return _State(place, before), worth

    def _gain(self, state: _State, token: int, last: bool) -> float:
        """What a token adds beside what every token takes; behind the last one nothing can be finished."""
        new, worth = self.grow(state, token)
        return worth if last else worth + self._pending(new)

    def table(self, state: _State, last: bool) -> tuple[float, dict[int, float]]:
        """Give what every next token takes back (<= 0), and what tokens add that do more than begin a phrase."""
        key = (state, last)
        if key not in self._tables:
            tokens = set(self.nodes[state.node].children)
            for node in self._chain(state.node):
                tokens |= set(node.children)
            usual = dict(zip(self.first_tokens, self.first_gains[last], strict=True))
            gains = {token: self._gain(state, token, last) - usual.get(token, 0.0) for token in tokens}
            self._tables[key] = (-self._pending(state), {token: gain for token, gain in gains.items() if gain})
        return self._tables[key]


class HotBeams:
    """How far each beam of each slot has come in the phrases."""

    def __init__(self, words: HotWords, device: torch.device) -> None:
        self.words, self.device = words, device
        self.states: list[list[_State]] = []
        self.first = torch.tensor(words.first_tokens, dtype=torch.int64, device=device)
        self.gains = {last: torch.tensor(gains, device=device) for last, gains in words.first_gains.items()}

    def enter(self, count: int) -> None:
        """Open slots; one state stands for all beams until they part."""
        self.states += [[_State(1)] for _ in range(count)]

    def leave(self, slot: int) -> None:
        """Close a slot; the last one moves into its place."""
        last = self.states.pop()
        if slot < len(self.states):
            self.states[slot] = last

    def add(self, part: slice, logits: Tensor, last: Tensor) -> Tensor:
        """Favour tokens in logits (n * K, V), in place; give what every token of a row adds besides (n * K, 1).

        last: (n,) True where the next token is the last that the limit allows.
        """
        rows = [
            self.words.table(state, end)
            for states, end in zip(self.states[part], last.tolist(), strict=True)
            for state in states
        ]
        ends = last.repeat_interleave(len(rows) // len(last))[:, None]
        logits[:, self.first] += torch.where(ends, self.gains[True], self.gains[False])
        extra = [(row, token, gain) for row, (_, gains) in enumerate(rows) for token, gain in gains.items()]
        if extra:
            places, tokens, gains = zip(*extra, strict=True)
            index = torch.tensor(places, device=self.device), torch.tensor(tokens, device=self.device)
            logits[index] += torch.tensor(gains, device=self.device)
        return torch.tensor([[taken] for taken, _ in rows], device=self.device)

    def choose(self, part: slice, parents: Tensor, tokens: Tensor) -> None:
        """Take over the tokens (n, K) that beams have chosen behind their parents (n, K)."""
        chosen = zip(parents.tolist(), tokens.tolist(), strict=True)
        for slot, (own_parents, own_tokens) in enumerate(chosen, part.start):
            before = self.states[slot]
            pairs = zip(own_parents, own_tokens, strict=True)
            self.states[slot] = [self.words.grow(before[parent], token)[0] for parent, token in pairs]
