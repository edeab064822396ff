"""Two convolutions and nothing more: the front end alone as an encoder."""

from __future__ import annotations

from typing import Literal

from torch import nn

from speechlm.core.seq import Seq
from speechlm.nn.subsample import ConvSubsample


class ConvEncoder(nn.Module):
    """The convolutional front end without anything above it: the "conv only" row of 2409.17750 (table 1).

    Seq (B, T, dim_in) of 10 ms frames -> Seq (B, ceil(T / subsampling), dim).

    Options:
        dim: width of the output.
        subsampling: input frames per step: 2, 4 or 8 (one 3x3 convolution with stride 2 per halving).
        channels: channels of the convolutions.
        dropout: dropout on the output.
    """

    source = "feats"

    def __init__(
        self,
        dim_in: int,
        *,
        dim: int = 512,
        subsampling: Literal[2, 4, 8] = 4,
        channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.seconds_per_step = 0.01 * subsampling
        self.subsample = ConvSubsample(dim_in, dim, factor=subsampling, channels=channels)
        self.dropout = nn.Dropout(dropout)

    def layers(self) -> list[nn.Module]:
        """The convolutions, bottom to top."""
        return list(self.subsample.convs)

    def forward(self, speech: Seq) -> Seq:
        """Encode features."""
        speech = self.subsample(speech)
        return speech.with_data(self.dropout(speech.data))
