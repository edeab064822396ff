"""Encoder and CTC head: papers 2409.17750 and the yardstick of every other model."""

from __future__ import annotations

from torch import nn

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq


class CtcModel(nn.Module):
    """Score units at every encoder step; blank is unit 0."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def encode(self, speech: Seq) -> Output:
        """Give the encoder's output and the head's logits (B, T, V)."""
        encoded = self.encoder(speech)
        return Output(encoded=encoded, ctc_logits=self.head(encoded), notes=dict(getattr(self.encoder, "notes", {})))

    def forward(self, batch: Batch) -> Output:
        """Give what the CTC loss reads."""
        return self.encode(batch.speech)
