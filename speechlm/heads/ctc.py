"""One Linear from the encoder to the units of CTC."""

from __future__ import annotations

from torch import nn

from speechlm.core.seq import Seq


class CtcHead(nn.Module):
    """Score every unit at every step; unit 0 is the blank.

    (B, T, dim_in) -> (B, T, vocab_size) logits, no softmax.

    Options:
        dropout: share of inputs set to zero while training.
    """

    def __init__(self, dim_in: int, vocab_size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if vocab_size < 2:
            raise ValueError(f"head ctc: needs the blank and at least one unit, the token list has {vocab_size}")
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dim_in, vocab_size)

    def forward(self, encoded: Seq) -> Seq:
        """Give the logits."""
        return encoded.with_data(self.output(self.dropout(encoded.data)))
