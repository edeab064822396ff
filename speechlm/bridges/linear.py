"""Pool every few steps into one and project to the LLM's width; and what other bridges share: grouping, scaling."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechlm.core.seq import Seq
from speechlm.nn.subsample import group_steps, stack_steps

Pool = Literal["mean", "max", "stack", "attention"]


def mean_pool(speech: Seq, stride: int) -> Seq:
    """Average every `stride` steps, counting real steps only; ceil(lens / stride) steps come out."""
    groups, mask, lens = group_steps(speech, stride)
    count = mask.sum(2).clamp(min=1)[..., None]  # (B, G, 1)
    return Seq(groups.sum(2) / count.to(groups.dtype), lens)


@torch.no_grad()
def match_rms(bridge: nn.Module, dim_in: int, rms: float, *, steps: int = 256) -> float:
    """Scale a fresh bridge's last layer so that its output starts at the RMS of the LLM's token embeddings.

    A pre-norm LM expects vectors of the size of its token embeddings; others drown its blocks or are drowned by them
    (PAPERS.md 1.3, point 3). The scale is measured on unit-normal noise, so it is exact for bridges that normalise
    their input and for encoders that end in a LayerNorm.

    bridge: a bridge with a last layer `output`; one without (identity) has nothing to scale and is left alone.
    rms: the wanted output RMS, > 0.
    Gives the output's RMS before scaling, or `rms` where there is nothing to scale.
    """
    output = getattr(bridge, "output", None)
    if output is None:
        return rms
    training = bridge.training
    weight: Tensor = output.weight
    noise = torch.randn(1, steps, dim_in, generator=torch.Generator().manual_seed(0)).to(weight)
    speech = Seq(noise, torch.full((1,), steps, dtype=torch.int64, device=weight.device))
    never_blank = speech.with_data(torch.tensor([-10.0, 10.0]).to(weight).expand(1, steps, 2))
    measured = bridge.eval()(speech, never_blank).data.float().square().mean().sqrt().item()
    bridge.train(training)
    for parameter in output.parameters():
        parameter.mul_(rms / measured)
    return measured


class LinearBridge(nn.Module):
    """Pool every `stride` steps, then one Linear or a two-layer MLP.

    Mean pooling of Whisper's 50 steps a second by 10 gives 5 a second, about the rate of Mandarin syllables, so the
    speech prompt is as long as the pinyin prompt that it replaces (arXiv 2409.16005; stride and kind of
    pooling are our choice). `stack` lays the steps side by side instead (SLAM-LLM's concatenation).

    (B, T, dim_in) -> (B, ceil(T / stride), dim_out); a last incomplete group pools its real steps only.

    Options:
        pool: how a group of steps becomes one: mean, max, stack (side by side) or attention (learned weights).
        stride: steps that become one, >= 1.
        hidden: width of a hidden layer with GELU between, 0 for a single Linear.
        norm: apply LayerNorm to the pooled vector before the projection.
        dropout: share of inputs of the projection set to zero while training.
    """

    uses_ctc: bool = False

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        *,
        pool: Literal["mean", "max", "stack", "attention"] = "mean",
        stride: int = 10,
        hidden: int = 0,
        norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"bridge linear: stride must be >= 1, is {stride}")
        if pool not in ("mean", "max", "stack", "attention"):
            raise ValueError(f"bridge linear: pool must be mean, max, stack or attention, is {pool!r}")
        self.pool, self.stride = pool, stride
        self.notes: dict[str, float] = {}
        width = dim_in * stride if pool == "stack" else dim_in
        self.score = nn.Linear(dim_in, 1, bias=False) if pool == "attention" else None
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.GELU()) if hidden else nn.Identity()
        self.output = nn.Linear(hidden or width, dim_out)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Pool and project; CTC logits are not used."""
        pooled = self._pooled(speech)
        return Seq(self.output(self.hidden(self.dropout(self.norm(pooled.data)))), pooled.lens)

    def _pooled(self, speech: Seq) -> Seq:
        if self.pool == "stack":
            return stack_steps(speech, self.stride)
        if self.pool == "mean":
            return mean_pool(speech, self.stride)
        groups, mask, lens = group_steps(speech, self.stride)
        # A group of padding alone keeps its first step, so that no NaN arises; no row's length reaches it.
        first = torch.arange(self.stride, device=mask.device) == 0
        mask = (mask | (first & ~mask.any(2, keepdim=True)))[..., None]  # (B, G, S, 1)
        if self.score is None:
            return Seq(groups.masked_fill(~mask, -torch.inf).amax(2), lens)
        weights = self.score(groups).float().masked_fill(~mask, -torch.inf).softmax(2)
        return Seq((weights.to(groups.dtype) * groups).sum(2), lens)
