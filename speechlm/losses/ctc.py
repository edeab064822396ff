"""Connectionist temporal classification over the units of the batch's targets."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import mask_of


def steps_needed(targets: Tensor, lens: Tensor) -> Tensor:
    """Count the steps (B,) that CTC needs: one per unit, and a blank between two equal neighbours."""
    later = mask_of(lens, targets.shape[1])[:, 1:]
    repeated = (targets[:, 1:] == targets[:, :-1]) & later
    return lens + repeated.sum(1)


class CtcLoss:
    """-log of the summed probability of all alignments, per utterance, in fp32; blank is 0.

    An utterance with fewer encoder steps than `steps_needed` has no alignment: it adds neither loss, gradient nor
    count, and is told in the notes: `ctc_dropped` utterances of this batch.

    Options:
        per: what the sum is a mean over in the end: tokens (an empty transcript counts as one) or utterances.
    """

    def __init__(self, *, per: Literal["tokens", "utterances"] = "tokens") -> None:
        if per not in ("tokens", "utterances"):
            raise ValueError(f"loss ctc: per must be tokens or utterances, is {per!r}")
        self.per = per

    def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give (sum over utterances, count); ValueError if the model has no CTC head or the batch no targets."""
        if output.ctc_logits is None:
            raise ValueError("loss ctc: the model gives no ctc_logits; give it a head of kind ctc")
        if batch.targets is None:
            raise ValueError("loss ctc: the batch has no targets; the dataset needs a token list (text.tokens)")
        logits, targets = output.ctc_logits.zero_padding(), batch.targets
        alignable = logits.lens >= steps_needed(targets.data, targets.lens)
        output.notes["ctc_dropped"] = float((~alignable).sum().item())
        wide = logits.data if logits.data.dtype == torch.float64 else logits.data.float()
        losses = F.ctc_loss(
            wide.log_softmax(-1).transpose(0, 1),  # (T, B, V)
            F.pad(targets.data, (0, 1)),  # a batch of empty transcripts must not be (B, 0)
            logits.lens,
            targets.lens,
            reduction="none",
            zero_infinity=True,
        )
        counts = targets.lens.clamp(min=1) if self.per == "tokens" else torch.ones_like(targets.lens)
        return losses.sum(), (counts * alignable).sum()
