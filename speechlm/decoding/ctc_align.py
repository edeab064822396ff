"""When each token was said: forced alignment of a text to CTC log probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchaudio.functional import forced_align

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq


@dataclass(frozen=True)
class Span:
    """Where a token stands: frames start <= t < end, and the mean log probability of those frames (its confidence)."""

    token: int
    start: int
    end: int
    score: float

    def seconds(self, seconds_per_step: float) -> tuple[float, float]:
        """Give start and end in seconds."""
        return self.start * seconds_per_step, self.end * seconds_per_step


def align(logits: Seq | None, texts: list[list[int]]) -> list[list[Span]]:
    """Find the most probable alignment of each text (units of the CTC head, without blanks) to its logits (B, T, V).

    Logits may be log probabilities already. Spans hold only the frames that say the token; what lies between is
    blank. Raises UserError without a CTC head (a made-up time stamp is worse than none), ValueError for a text that
    cannot fit.
    """
    if logits is None:
        raise UserError(
            "token times: the model has no CTC head to align with; train one (head: {kind: ctc}) or leave them out"
        )
    if len(texts) != len(logits.lens):
        raise ValueError(f"texts: must be one per utterance ({len(logits.lens)}), are {len(texts)}")
    return [
        _align_one(Seq(logits.data[b, :n][None], logits.lens[b, None]), texts[b], b)
        for b, n in enumerate(logits.lens.tolist())
    ]


def _align_one(logits: Seq, text: list[int], row: int) -> list[Span]:
    if not text:
        return []
    steps, size = logits.data.shape[1:]
    if min(text) < 1 or max(text) >= size:
        raise ValueError(
            f"texts[{row}]: units must be between 1 and {size - 1} (0 is blank), are {min(text)} to {max(text)}"
        )
    needed = len(text) + sum(a == b for a, b in zip(text, text[1:], strict=False))
    if steps < needed:
        raise ValueError(f"texts[{row}]: {len(text)} tokens need {needed} frames, there are {steps}")
    log_probs = logits.data.float().log_softmax(-1)
    path, scores = forced_align(log_probs, torch.tensor([text], device=log_probs.device), blank=0)
    return _spans(path[0].tolist(), scores[0].tolist())


def _spans(path: list[int], scores: list[float]) -> list[Span]:
    """Cut a path into its tokens; a frame belongs to the token before it if both say the same."""
    spans: list[Span] = []
    start = 0
    for end in range(1, len(path) + 1):
        if end == len(path) or path[end] != path[start]:
            if path[start] != 0:
                spans.append(Span(path[start], start, end, sum(scores[start:end]) / (end - start)))
            start = end
    return spans
