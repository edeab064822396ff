"""The convolution bridge equals the released one in size, arithmetic and length rule."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from speechlm.bridges.conv import ConvBridge, shortest_input
from speechlm.core.seq import Seq


def test_parameters_of_the_release() -> None:
    with torch.device("meta"):
        bridge = ConvBridge(768, 2816)
    assert sum(p.numel() for p in bridge.parameters()) == 2 * (768 * 768 * 4 + 768) + 768 * 2816 + 2816 == 6_885_632


@torch.no_grad()
def test_convolve_gelu_convolve_gelu_project() -> None:
    bridge = ConvBridge(6, 9).eval()
    x = torch.randn(1, 30, 6)
    y = x.transpose(1, 2)
    for conv in bridge.convs:
        y = F.gelu(F.conv1d(y, conv.weight, conv.bias, stride=2))
    wanted = y.transpose(1, 2) @ bridge.output.weight.T + bridge.output.bias
    torch.testing.assert_close(bridge(Seq(x, torch.tensor([30]))).data, wanted)


def test_shortest_input_gives_one_step_without_padding() -> None:
    assert shortest_input(4, 2, 2) == 10  # 10 HuBERT frames, 0.205 s
    bridge = ConvBridge(6, 9)
    assert bridge(Seq(torch.randn(1, 10, 6), torch.tensor([10]))).lens.tolist() == [1]
    assert bridge(Seq(torch.randn(1, 12, 6), torch.tensor([12]))).lens.tolist() == [1]
    assert bridge(Seq(torch.randn(1, 14, 6), torch.tensor([14]))).lens.tolist() == [2]


@pytest.mark.parametrize("options", [{"stride": 0}, {"stride": 5}, {"num_layers": 0}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="^bridge conv: "):
        ConvBridge(6, 9, **options)
