"""What travels between the floors: a batch of utterances, and what a model made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from speechlm.core.seq import Seq


@dataclass(frozen=True)
class Batch:
    """B utterances as the collator pads them; what a set does not have is None.

    ids: utterance ids.
    speech: fbank (B, T, D) float32 | waveform (B, N) float32 in [-1, 1] | pinyin ids (B, T) int64 | empty (B, 0).
    seconds: (B,) float32, true durations of the audio (0 for text-only data).
    texts: normalised transcripts, "" where empty.
    targets: (B, U) units of the CTC or transducer head, without blank or end.
    answers: (B, U) tokens of the LLM, the end token included.
    hot: (B, H) tokens of the list of phrases in the LLM's prompt, no step where there is none; None: no list at all.
    """

    ids: list[str]
    speech: Seq
    seconds: Tensor
    texts: list[str]
    targets: Seq | None = None
    answers: Seq | None = None
    hot: Seq | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """Move every tensor."""
        return replace(
            self,
            speech=self.speech.to(device),
            seconds=self.seconds.to(device),
            targets=self.targets.to(device) if self.targets else None,
            answers=self.answers.to(device) if self.answers else None,
            hot=self.hot.to(device) if self.hot else None,
        )


@dataclass
class Output:
    """What a model made of a batch; a loss reads the fields it needs and says so when one is missing.

    encoded: encoder output (B, T, D).
    ctc_logits: (B, T, V) logits of the CTC head; blank is 0.
    speech_embeddings: bridge output in the LLM's width (B, T, D).
    text_embeddings: input embeddings of the transcript's tokens, without the end token (B, U, D).
    answer_logits: (N, V) logits on the answers' positions only, N = sum of answers.lens.
    answer_labels: (N,) the tokens they must predict, row after row.
    joint_logits: (B, T, U + 1, V) of the transducer, where they are made at once.
    joint: makes them for the rows asked for, (n,) indices -> (n, T', U' + 1, V), cut to the longest of these rows; so a
        loss need not hold them all.
    unit_states: the transducer predictor's states before each unit (B, U, P).
    representations: K regressed text representations, each (B, U, D), for distillation.
    notes: scalars to log (kept ratio of a compression, input RMS …).
    """

    encoded: Seq | None = None
    ctc_logits: Seq | None = None
    speech_embeddings: Seq | None = None
    text_embeddings: Seq | None = None
    answer_logits: Tensor | None = None
    answer_labels: Tensor | None = None
    joint_logits: Tensor | None = None
    joint: Callable[[Tensor], Tensor] | None = None
    unit_states: Seq | None = None
    representations: list[Seq] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
