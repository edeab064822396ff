"""Learned queries that read each window of speech by cross attention (Q-Former)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechlm.bridges.linear import group_steps
from speechlm.core.seq import Seq
from speechlm.nn.layers import FeedForward


class CrossAttention(nn.Module):
    """Multi-head attention of queries (N, Q, dim) over memory (N, W, dim_memory); gives (N, Q, dim)."""

    def __init__(self, dim: int, dim_memory: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim_memory, dim, bias=False)  # the softmax would cancel a bias
        self.v_proj = nn.Linear(dim_memory, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """mask (N, W): True where memory may be looked at; None for all of it."""
        query, key, value = self.q_proj(queries), self.k_proj(memory), self.v_proj(memory)
        split = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))  # (N, heads, ·, ·)
        allowed = None if mask is None else mask[:, None, None]
        read = F.scaled_dot_product_attention(*split, attn_mask=allowed, dropout_p=self.dropout * self.training)
        return self.out_proj(read.transpose(1, 2).flatten(2))


class QueryLayer(nn.Module):
    """Queries look at each other (if there are several), at the speech, then a feed-forward layer; all pre-norm."""

    def __init__(self, dim: int, dim_memory: int, heads: int, dropout: float, *, several: bool) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(dim) if several else None
        self.self_attention = CrossAttention(dim, dim, heads, dropout) if several else None
        self.cross_norm = nn.LayerNorm(dim)
        self.cross_attention = CrossAttention(dim, dim_memory, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, 4 * dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Read memory (N, W, dim_memory) with the queries (N, Q, dim); mask (N, W) says which of it is real."""
        if self.self_norm is not None and self.self_attention is not None:
            x = self.self_norm(queries)
            queries = queries + self.dropout(self.self_attention(x, x, None))
        queries = queries + self.dropout(self.cross_attention(self.cross_norm(queries), memory, mask))
        return queries + self.dropout(self.feed_forward(self.feed_forward_norm(queries)))


class QueryBridge(nn.Module):
    """Every window of `window` steps is read by the same learned queries, and the answers follow each other.

    The Q-Former of BLIP-2 (arXiv 2301.12597) applied window by window, so that the prompt grows with the audio and
    keeps its order. A last incomplete window is read with its real steps only.

    (B, T, dim_in) -> (B, ceil(T / window) * queries, dim_out).

    Options:
        window: steps of the encoder in a window, >= 1.
        queries: learned queries, so steps out of each window.
        num_layers: layers of self attention, cross attention and feed-forward.
        dim: width of the queries, 0 for the encoder's width.
        heads: attention heads; the queries' width must be a multiple of it.
        dropout: share of activations set to zero while training.
    """

    uses_ctc: bool = False

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        *,
        window: int = 16,
        queries: int = 1,
        num_layers: int = 2,
        dim: int = 0,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        width = dim or dim_in
        for name, value in (("window", window), ("queries", queries), ("num_layers", num_layers), ("heads", heads)):
            if value < 1:
                raise ValueError(f"bridge query: {name} must be >= 1, is {value}")
        if width % heads:
            raise ValueError(f"bridge query: width {width} must be a multiple of heads {heads}")
        self.notes: dict[str, float] = {}
        self.window = window
        self.queries = nn.Parameter(torch.randn(queries, width) * 0.02)
        self.input_norm = nn.LayerNorm(dim_in)
        self.position = nn.Parameter(torch.zeros(window, dim_in))
        self.layers = nn.ModuleList(
            QueryLayer(width, dim_in, heads, dropout, several=queries > 1) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, dim_out)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Read every window; CTC logits are not used."""
        groups, mask, windows = group_steps(speech, self.window)  # (B, G, W, D)
        # A window of padding alone keeps its first step, so that no NaN arises; no row's length reaches it.
        first = torch.arange(self.window, device=mask.device) == 0
        mask = mask | (first & ~mask.any(2, keepdim=True))
        memory = (self.input_norm(groups) + self.position).flatten(0, 1)  # (B * G, W, D)
        read = self.queries.expand(len(memory), -1, -1)
        for layer in self.layers:
            read = layer(read, memory, mask.flatten(0, 1))
        data = self.output(self.norm(read)).unflatten(0, groups.shape[:2]).flatten(1, 2)  # (B, G * Q, D)
        return Seq(data, windows * len(self.queries))
