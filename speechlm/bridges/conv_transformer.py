"""One strided convolution, transformer blocks, and a projection (Conv1dTransformer)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechlm.bridges.conv import at_least, convolve
from speechlm.core.seq import Seq
from speechlm.nn.attention import SelfAttention, attention_mask, rotary_angles
from speechlm.nn.layers import FeedForward


class Block(nn.Module):
    """A pre-norm transformer block in which every step sees every real step; (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Take mask and angles as `SelfAttention` does."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask, angles))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class ConvTransformerBridge(nn.Module):
    """Conv1d -> ReLU -> pre-norm transformer blocks -> LayerNorm -> Linear, compared in arXiv 2406.17272.

    The paper prints no sizes. The convolution is that of `conv_mlp`; the blocks look at the whole utterance, with
    rotary positions and SiLU.

    (B, T, dim_in) -> (B, floor((T - kernel) / stride) + 1, dim_out), at least one step.

    Options:
        kernel: steps that the convolution sees, >= stride.
        stride: steps that become one.
        num_layers: transformer blocks.
        heads: attention heads; the encoder's width must be heads times an even number.
        hidden: width inside the blocks' feed-forward layers, 0 for four times the encoder's width.
        dropout: share of activations set to zero while training.
    """

    uses_ctc: bool = False

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        *,
        kernel: int = 5,
        stride: int = 5,
        num_layers: int = 2,
        heads: int = 8,
        hidden: int = 0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not 1 <= stride <= kernel:
            raise ValueError(f"bridge conv_transformer: stride must be from 1 to kernel ({kernel}), is {stride}")
        if num_layers < 1:
            raise ValueError(f"bridge conv_transformer: num_layers must be >= 1, is {num_layers}")
        if heads < 1 or dim_in % heads or (dim_in // heads) % 2:
            raise ValueError(
                f"bridge conv_transformer: the encoder's width {dim_in} must be heads ({heads}) times an even number"
            )
        self.notes: dict[str, float] = {}
        self.kernel = kernel
        self.conv = nn.Conv1d(dim_in, dim_in, kernel, stride)
        self.blocks = nn.ModuleList(Block(dim_in, heads, hidden or 4 * dim_in, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim_in)
        self.output = nn.Linear(dim_in, dim_out)
        self.head_dim = dim_in // heads

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Convolve, look around and project; CTC logits are not used."""
        convolved = convolve(self.conv, at_least(speech, self.kernel))
        x, steps = F.relu(convolved.data), convolved.data.shape[1]
        mask = attention_mask(convolved.lens, steps)
        angles = rotary_angles(steps, self.head_dim, x.device)
        for block in self.blocks:
            x = block(x, mask, angles)
        return convolved.with_data(self.output(self.norm(x)))
