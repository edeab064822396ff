"""The Conformer block (2005.08100): feed-forward, attention, convolution, feed-forward."""

from __future__ import annotations

from torch import Tensor, nn

from speechlm.nn.attention import SelfAttention
from speechlm.nn.layers import DepthwiseConv, FeedForward


class ConvModule(nn.Module):
    """Gated pointwise convolution, depthwise convolution over time, pointwise convolution; (B, T, dim) -> same.

    LayerNorm stands where the paper has BatchNorm: batch statistics would let one utterance depend on the others and on
    padding, and would leave buffers to average.
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dim, 2 * dim)
        self.depthwise = DepthwiseConv(dim, kernel)
        self.norm = nn.LayerNorm(dim)
        self.leave = nn.Linear(dim, dim)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """padding (B, T, 1): True where x is not real; set to zero before the convolution could read it."""
        x = nn.functional.glu(self.enter(x)).masked_fill(padding, 0)
        return self.leave(nn.functional.silu(self.norm(self.depthwise(x))))


class ConformerBlock(nn.Module):
    """One block, pre-norm: two half-step feed-forward layers around attention and convolution (2005.08100, 2.4)."""

    def __init__(
        self, dim: int, heads: int, ffn_dim: int, kernel: int, dropout: float, attention_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm_ffn1, self.norm_attention, self.norm_conv, self.norm_ffn2, self.norm_out = (
            nn.LayerNorm(dim) for _ in range(5)
        )
        self.ffn1 = FeedForward(dim, ffn_dim, dropout)
        self.attention = SelfAttention(dim, heads, attention_dropout)
        self.conv = ConvModule(dim, kernel)
        self.ffn2 = FeedForward(dim, ffn_dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, padding: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """x (B, T, dim); mask and angles as in `SelfAttention`; padding (B, T, 1), True where x is not real."""
        x = x + 0.5 * self.dropout(self.ffn1(self.norm_ffn1(x)))
        x = x + self.dropout(self.attention(self.norm_attention(x), mask, angles))
        x = x + self.dropout(self.conv(self.norm_conv(x), padding))
        x = x + 0.5 * self.dropout(self.ffn2(self.norm_ffn2(x)))
        return self.norm_out(x)
