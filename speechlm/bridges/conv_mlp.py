"""One strided convolution and a two-layer MLP (Conv1dMLP)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from speechlm.bridges.conv import at_least, convolve
from speechlm.core.seq import Seq


class ConvMlpBridge(nn.Module):
    """Conv1d -> ReLU -> Linear -> ReLU -> Linear, the adapter chosen in arXiv 2406.17272.

    The paper prints no sizes; these are the public ones of SLAM-LLM's projector: kernel 5, stride 5 (50 -> 10 steps a
    second), hidden width 2048. 15.74 M parameters for 1024 -> 4096.

    (B, T, dim_in) -> (B, floor((T - kernel) / stride) + 1, dim_out), at least one step.

    Options:
        kernel: steps that the convolution sees, >= stride.
        stride: steps that become one.
        hidden: width between the two Linear layers.
    """

    uses_ctc: bool = False

    def __init__(self, dim_in: int, dim_out: int, *, kernel: int = 5, stride: int = 5, hidden: int = 2048) -> None:
        super().__init__()
        if not 1 <= stride <= kernel:
            raise ValueError(f"bridge conv_mlp: stride must be from 1 to kernel ({kernel}), is {stride}")
        self.notes: dict[str, float] = {}
        self.kernel = kernel
        self.conv = nn.Conv1d(dim_in, dim_in, kernel, stride)
        self.hidden = nn.Linear(dim_in, hidden)
        self.output = nn.Linear(hidden, dim_out)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Convolve and project; CTC logits are not used."""
        convolved = convolve(self.conv, at_least(speech, self.kernel))
        return convolved.with_data(self.output(F.relu(self.hidden(F.relu(convolved.data)))))
