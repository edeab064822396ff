"""Beam search by its definition: Python lists, the whole text read again for every score, one utterance.

The rules (which candidates may finish, when to stop) are those that `generate` of transformers 5.23 documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Scores = Callable[[tuple[int, ...]], Sequence[float]]
"""Log probabilities of the next token behind a text; -inf for what is banned."""


@dataclass(frozen=True)
class Found:
    """A finished text: tokens without the end token, and its score divided by length ** length_penalty."""

    tokens: tuple[int, ...]
    score: float


def beam_search(
    scores: Scores,
    *,
    beam: int,
    ends: Sequence[int],
    limit: int,
    length_penalty: float = 1.0,
    early: bool | str = False,
) -> list[Found]:
    """Give the finished texts, best first."""
    running: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[Found] = []
    for length in range(1, limit + 1):
        grown = [(total + gain, (*text, token)) for total, text in running for token, gain in enumerate(scores(text))]
        grown = sorted((item for item in grown if item[0] > -float("inf")), key=lambda item: -item[0])
        grown = grown[: max(2, 1 + len(ends)) * beam]
        done = [(total, text) for total, text in grown[:beam] if text[-1] in ends or length == limit]
        for total, text in done:
            finished.append(Found(text[:-1] if text[-1] in ends else text, total / length**length_penalty))
        finished = sorted(finished, key=lambda found: -found.score)[:beam]
        running = [(total, text) for total, text in grown if text[-1] not in ends][:beam]
        if not running or length == limit:
            break
        far = limit if early == "never" and length_penalty > 0 else length
        hopeless = len(finished) == beam and running[0][0] / far**length_penalty <= finished[-1].score
        if hopeless or (len(finished) == beam and (early is True or beam == 1)):
            break
    return finished
