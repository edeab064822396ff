"""A table of syllable embeddings in the place where speech comes later (2409.16005)."""

from __future__ import annotations

import torch
from torch import nn

from speechlm.core.seq import Seq


class PinyinEncoder(nn.Module):
    """Look up a vector for every pinyin unit (2409.16005, stage 1: 1417 units in the slot of the speech prompt).

    Seq (B, T) of unit ids, int64, 0 <= id < num_units -> Seq (B, T, dim).

    Options:
        dim: width of the vectors; the LLM's own width where no bridge stands between (4096 in the paper).
        init_std: standard deviation of the initial vectors; token embeddings of LLMs have about 0.02.
    """

    source = "pinyin"

    def __init__(self, num_units: int, *, dim: int = 512, init_std: float = 0.02) -> None:
        super().__init__()
        self.dim = dim
        self.seconds_per_step = 0.0
        self.table = nn.Embedding(num_units, dim)
        nn.init.normal_(self.table.weight, std=init_std)

    def layers(self) -> list[nn.Module]:
        """The table."""
        return [self.table]

    def forward(self, speech: Seq) -> Seq:
        """Look the units up; ValueError when the data is not unit ids."""
        ids = speech.data
        if ids.dtype != torch.int64:
            raise ValueError(f"pinyin units must be int64 ids, are {ids.dtype}; the data must have source pinyin")
        return Seq(self.table(speech.zero_padding().data), speech.lens).zero_padding()
