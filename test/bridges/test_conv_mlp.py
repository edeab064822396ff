"""Size and arithmetic of Conv1dMLP."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from speechlm.bridges.conv_mlp import ConvMlpBridge
from speechlm.core.seq import Seq


def test_parameters_for_hubert_large_and_a_7b_llm() -> None:
    with torch.device("meta"):
        bridge = ConvMlpBridge(1024, 4096)
    assert sum(p.numel() for p in bridge.parameters()) == 15_735_808  # 15.74 M


@torch.no_grad()
def test_convolve_relu_linear_relu_linear() -> None:
    bridge = ConvMlpBridge(4, 7, hidden=5)
    x = torch.randn(1, 13, 4)
    y = F.relu(F.conv1d(x.transpose(1, 2), bridge.conv.weight, bridge.conv.bias, stride=5)).transpose(1, 2)
    wanted = F.linear(F.relu(bridge.hidden(y)), bridge.output.weight, bridge.output.bias)
    out = bridge(Seq(x, torch.tensor([13])))
    assert out.lens.tolist() == [2]
    torch.testing.assert_close(out.data, wanted)


def test_stride_beyond_the_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="stride must be from 1 to kernel"):
        ConvMlpBridge(4, 7, kernel=3, stride=4)
