"""What every search of this package gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One answer of a search; a list of them is sorted, best first.

    tokens: token ids, without the end token (LLM) or blanks (CTC).
    score: what the list is sorted by. LLM beam search: (sum of token_scores + end_score) / length ** length_penalty,
        where length counts the end token if there is one. CTC: log probability of the token sequence.
    token_scores: what each token added to the score before it was normalised by length; without penalties, bans and
        fusion this is the model's log probability of the token, so that its exponential is a confidence.
    end_score: the same for the end token; 0 if the hypothesis was cut.
    finished: False if the limit of tokens cut it before an end token came.
    """

    tokens: list[int]
    score: float
    token_scores: list[float]
    end_score: float = 0.0
    finished: bool = True
