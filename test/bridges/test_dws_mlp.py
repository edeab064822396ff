"""Size of DwsMLP, and which steps lie side by side."""

from __future__ import annotations

import torch

from speechlm.bridges.dws_mlp import DwsMlpBridge
from speechlm.core.seq import Seq


def test_parameters_for_hubert_large_and_a_7b_llm() -> None:
    with torch.device("meta"):
        bridge = DwsMlpBridge(1024, 4096)
    assert sum(p.numel() for p in bridge.parameters()) == 18_880_512  # 18.88 M


@torch.no_grad()
def test_the_last_group_is_filled_with_zeros() -> None:
    bridge = DwsMlpBridge(2, 3, stride=3, hidden=4)
    x = torch.arange(8.0).reshape(1, 4, 2)
    stacked = torch.tensor([[[0.0, 1, 2, 3, 4, 5], [6, 7, 0, 0, 0, 0]]])
    out = bridge(Seq(x, torch.tensor([4])))
    torch.testing.assert_close(out.data, bridge.output(bridge.hidden(stacked).relu()))
