"""Self-attention over padded sequences, with rotary positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from speechlm.core.seq import mask_of


def attention_mask(lens: Tensor, size: int, *, causal: bool = False) -> Tensor:
    """Make the mask (B, 1, 1 or T, T) of which step (column) a step (row) may look at: True means it may.

    Real steps only, and with `causal` no later ones. The first step is always open: a row of an empty utterance would
    otherwise have nothing to look at and become NaN; what it computes is padding and never read.
    """
    keys = mask_of(lens.clamp(min=1), size)[:, None, None]  # (B, 1, 1, T)
    return keys & keys.new_ones(size, size).tril() if causal else keys


def rotary_angles(size: int, head_dim: int, device: torch.device, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine (T, head_dim / 2) in fp32 of the rotation that stands for each position (2104.09864, 3.2)."""
    step = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    angles = torch.arange(size, device=device, dtype=torch.float32)[:, None] * base**-step
    return angles.cos(), angles.sin()


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + head_dim / 2) of x (B, heads, T, head_dim) by the angles of their positions."""
    cos, sin = angles
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence over itself; (B, T, dim) -> (B, T, dim).

    Positions are rotary: they depend on distances only, need no parameters and no table of a largest length, and run
    through torch's fused attention. (Transformer-XL's relative positions, the Conformer paper's choice, need the
    scores in memory.)
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads or (dim // heads) % 2:
            raise ValueError(f"dim must be heads times an even number; dim is {dim}, heads is {heads}")
        self.heads = heads
        self.head_dim = dim // heads
        self.dropout = dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """x (B, T, dim); mask of `attention_mask`; angles of `rotary_angles(T, head_dim)`."""
        query, key, value = (self._split(proj(x)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        y = scaled_dot_product_attention(
            rotate(query, angles), rotate(key, angles), value, attn_mask=mask, dropout_p=self.dropout * self.training
        )
        return self.out_proj(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, self.head_dim)).transpose(1, 2)  # (B, heads, T, head_dim)
