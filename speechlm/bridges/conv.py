"""Strided convolutions and a projection, as in the released Nue-ASR; and the length rules of unpadded convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechlm.core.seq import Seq


def shortest_input(kernel: int, stride: int, layers: int) -> int:
    """Count the steps that `layers` unpadded convolutions need to give one step."""
    steps = 1
    for _ in range(layers):
        steps = (steps - 1) * stride + kernel
    return steps


def at_least(speech: Seq, steps: int) -> Seq:
    """Lengthen every row that has some, but fewer than `steps`, real steps to `steps` with zeros; padding becomes zero.

    A short utterance is thus the same alone and in a batch, where the padding of its neighbours is cut off or added.
    """
    data = F.pad(speech.zero_padding().data, (0, 0, 0, max(0, steps - speech.data.shape[1])))
    return Seq(data, torch.where(speech.lens > 0, speech.lens.clamp(min=steps), speech.lens))


def convolve(conv: nn.Conv1d, speech: Seq) -> Seq:
    """Apply an unpadded convolution to (B, T, D) and count the steps: floor((lens - kernel) / stride) + 1."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    data: Tensor = conv(speech.data.transpose(1, 2)).transpose(1, 2)
    lens = torch.div(speech.lens - kernel, stride, rounding_mode="floor") + 1
    return Seq(data, lens.clamp(min=0))


class ConvBridge(nn.Module):
    """Two Conv1d (kernel 4, stride 2, no padding, GELU) and a Linear, exactly as in the released rinna/nue-asr.

    From 50 HuBERT steps a second to 12.5 (arXiv 2312.03668; layer sizes from the published code's
    configuration). 6.89 M parameters for 768 -> 2816.

    (B, T, dim_in) -> (B, T', dim_out) with T' = floor((T - kernel) / stride) + 1, once for each layer; shorter input
    than one output step needs is filled with zeros, so one step comes out.

    Options:
        num_layers: convolutions, each followed by GELU; the rate falls by stride ** num_layers.
        kernel: steps that a convolution sees, >= stride.
        stride: steps that a convolution moves on.
    """

    uses_ctc: bool = False

    def __init__(self, dim_in: int, dim_out: int, *, num_layers: int = 2, kernel: int = 4, stride: int = 2) -> None:
        super().__init__()
        if not 1 <= stride <= kernel:
            raise ValueError(f"bridge conv: stride must be from 1 to kernel ({kernel}), is {stride}")
        if num_layers < 1:
            raise ValueError(f"bridge conv: num_layers must be >= 1, is {num_layers}")
        self.notes: dict[str, float] = {}
        self.shortest = shortest_input(kernel, stride, num_layers)
        self.convs = nn.ModuleList(nn.Conv1d(dim_in, dim_in, kernel, stride) for _ in range(num_layers))
        self.output = nn.Linear(dim_in, dim_out)

    def forward(self, speech: Seq, ctc_logits: Seq | None = None) -> Seq:
        """Convolve and project; CTC logits are not used."""
        speech = at_least(speech, self.shortest)
        for conv in self.convs:
            convolved = convolve(conv, speech)
            speech = convolved.with_data(F.gelu(convolved.data))
        return speech.with_data(self.output(speech.data))
