"""The Conformer encoder, trained from scratch on fbank features."""

from __future__ import annotations

from typing import Literal

from torch import nn

from speechlm.core.seq import Seq
from speechlm.nn.attention import attention_mask, rotary_angles
from speechlm.nn.conformer import ConformerBlock
from speechlm.nn.subsample import ConvSubsample


class ConformerEncoder(nn.Module):
    """Convolutional subsampling and Conformer blocks (2005.08100) with rotary positions and LayerNorm throughout.

    The from-scratch row beside the pre-trained encoders of 2409.17750, and the encoder of 2309.04031 (layers 10,
    dim 512, heads 8, ffn_dim 2048, kernel 31). No valid step depends on padding or on the rest of the batch.

    Seq (B, T, dim_in) of 10 ms frames -> Seq (B, ceil(T / subsampling), dim).

    Options:
        dim: width of the blocks and of the output.
        layers: number of blocks.
        heads: attention heads; dim must be heads times an even number.
        ffn_dim: inner width of the feed-forward layers.
        kernel: odd length of the convolution over time, in steps.
        subsampling: input frames per step: 2, 4 or 8.
        channels: channels of the subsampling convolutions (most of the cost of a small model).
        dropout: dropout after every module and inside the feed-forward layers.
        attention_dropout: dropout on the attention weights; above 0 the fused attention is lost on CPUs.
        input_dropout: dropout on the subsampled features.
    """

    source = "feats"

    def __init__(
        self,
        dim_in: int,
        *,
        dim: int = 256,
        layers: int = 12,
        heads: int = 4,
        ffn_dim: int = 1024,
        kernel: int = 31,
        subsampling: Literal[2, 4, 8] = 4,
        channels: int = 128,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        input_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.head_dim = dim // heads
        self.seconds_per_step = 0.01 * subsampling
        self.subsample = ConvSubsample(dim_in, dim, factor=subsampling, channels=channels)
        self.input_dropout = nn.Dropout(input_dropout)
        self.blocks = nn.ModuleList(
            ConformerBlock(dim, heads, ffn_dim, kernel, dropout, attention_dropout) for _ in range(layers)
        )

    def layers(self) -> list[nn.Module]:
        """The blocks, bottom to top."""
        return list(self.blocks)

    def forward(self, speech: Seq) -> Seq:
        """Encode features."""
        speech = self.subsample(speech)
        x, size = self.input_dropout(speech.data), speech.data.shape[1]
        mask = attention_mask(speech.lens, size)
        padding = ~speech.mask[..., None]  # (B, T, 1)
        angles = rotary_angles(size, self.head_dim, x.device)
        for block in self.blocks:
            x = block(x, mask, padding, angles)
        return speech.with_data(x).zero_padding()
