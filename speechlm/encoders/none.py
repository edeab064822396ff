"""No speech at all: the control in which an LLM sees text only."""

from __future__ import annotations

import torch
from torch import nn

from speechlm.core.seq import Seq


class NoneEncoder(nn.Module):
    """Give every utterance an empty sequence, so that the model is a language model on the same text.

    The control for "just more text" in 2409.16005 (pinyin pre-training against LM-only training).

    Seq (B, T) or (B, T, D) of anything -> Seq (B, 0, dim).

    Options:
        dim: width of the empty output, which is the width that the bridge is built for.
    """

    source = "none"

    def __init__(self, dim_in: int, *, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.seconds_per_step = 0.0

    def layers(self) -> list[nn.Module]:
        """There are none."""
        return []

    def forward(self, speech: Seq) -> Seq:
        """Give no steps for any row."""
        empty = torch.zeros(len(speech.data), 0, self.dim, device=speech.data.device)
        return Seq(empty, torch.zeros_like(speech.lens))
