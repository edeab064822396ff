"""Losses read a model's `Output` and the `Batch` and give (sum, count), so that a mean over many batches is exact."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "lm": "speechlm.losses.lm:LmLoss",
    "ctc": "speechlm.losses.ctc:CtcLoss",
    "transducer": "speechlm.losses.transducer:TransducerLoss",
    "matching": "speechlm.losses.matching:MatchingLoss",
    "distill": "speechlm.losses.distill:DistillLoss",
}
