"""Every step of Conv1dTransformer sees the whole utterance, both ways."""

from __future__ import annotations

import pytest
import torch

from speechlm.bridges.conv_transformer import ConvTransformerBridge
from speechlm.core.seq import Seq


@torch.no_grad()
def test_the_first_step_sees_the_last_and_the_last_the_first() -> None:
    bridge = ConvTransformerBridge(8, 6, heads=2, num_layers=1).eval()
    x = torch.randn(1, 40, 8)
    for changed, seen in ((37, 0), (2, 7)):
        other = x.clone()
        other[:, changed] += 1
        difference = (bridge(Seq(other, torch.tensor([40]))).data - bridge(Seq(x, torch.tensor([40]))).data).abs()
        assert difference[0, seen].max() > 1e-4


def test_number_of_blocks_and_their_width() -> None:
    sizes = [sum(p.numel() for p in ConvTransformerBridge(8, 6, heads=2, **o).blocks.parameters()) for o in
             ({"num_layers": 1}, {"num_layers": 3}, {"num_layers": 1, "hidden": 5})]  # fmt: skip
    assert sizes[1] == 3 * sizes[0] and sizes[0] - sizes[2] == (32 - 5) * (8 + 8 + 1)


@pytest.mark.parametrize("options", [{"heads": 3}, {"heads": 8}, {"num_layers": 0}, {"stride": 6}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="^bridge conv_transformer: "):
        ConvTransformerBridge(8, 6, **options)
