"""Down-sample by laying steps side by side, then a two-layer MLP (DwsMLP)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from speechlm.bridges.linear import stack_steps
from speechlm.core.seq import Seq


class DwsMlpBridge(nn.Module):
    """Stack `stride` steps -> Linear -> ReLU -> Linear, compared in arXiv 2406.17272.

    The paper prints no sizes; these are the public ones of SLAM-LLM's concatenating projector: 5 steps, hidden width
    2048. 18.88 M parameters for 1024 -> 4096. A last incomplete group is filled with zeros, not dropped.

    (B, T, dim_in) -> (B, ceil(T / stride), dim_out).

    Options:
        stride: steps laid side by side, >= 1.
        hidden: width between the two Linear layers.
    """

    uses_ctc: bool = False

    def __init__(self, dim_in: int, dim_out: int, *, stride: int = 5, hidden: int = 2048) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"bridge dws_mlp: stride must be >= 1, is {stride}")
        self.notes: dict[str, float] = {}
        self.stride = stride
        self.hidden = nn.Linear(dim_in * stride, hidden)
        self.output = nn.Linear(hidden, dim_out)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Stack and project; CTC logits are not used."""
        stacked = stack_steps(speech, self.stride)
        return stacked.with_data(self.output(F.relu(self.hidden(stacked.data))))
