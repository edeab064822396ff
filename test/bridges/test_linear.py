"""What each kind of pooling makes of a group, checked by hand."""

from __future__ import annotations

import pytest
import torch

from speechlm.bridges.linear import LinearBridge, match_rms, mean_pool, stack_steps
from speechlm.core.seq import Seq

FIVE = Seq(torch.tensor([[[1.0, -1], [3, -3], [8, -8], [2, -9], [5, -5], [99, 99]]]), torch.tensor([5]))


def pooled(pool: str) -> torch.Tensor:
    bridge = LinearBridge(2, 2, pool=pool, stride=3, norm=False)
    with torch.no_grad():
        bridge.output.weight.copy_(torch.eye(2))
        bridge.output.bias.zero_()
        if bridge.score is not None:
            bridge.score.weight.copy_(torch.tensor([[100.0, 0.0]]))  # looks at the largest first value only
        return bridge(FIVE).data[0]


def test_mean_counts_real_steps_only() -> None:
    assert mean_pool(FIVE, 3).data[0].tolist() == [[4.0, -4.0], [3.5, -7.0]]
    torch.testing.assert_close(pooled("mean"), torch.tensor([[4.0, -4.0], [3.5, -7.0]]))


def test_max_sees_no_padding() -> None:
    torch.testing.assert_close(pooled("max"), torch.tensor([[8.0, -1.0], [5.0, -5.0]]))


def test_attention_looks_where_the_score_says() -> None:
    torch.testing.assert_close(pooled("attention"), torch.tensor([[8.0, -8.0], [5.0, -5.0]]))


def test_stack_keeps_the_order() -> None:
    assert stack_steps(FIVE, 2).data[0].tolist() == [[1, -1, 3, -3], [8, -8, 2, -9], [5, -5, 0, 0]]
    assert stack_steps(FIVE, 2).lens.tolist() == [3]


def test_norm_and_dropout_stand_before_the_projection() -> None:
    bridge = LinearBridge(2, 3, stride=1, dropout=1.0).train()
    with torch.no_grad():
        assert torch.equal(bridge(FIVE).data, bridge.output.bias.expand(1, 6, 3))
        bridge.eval()
        normal = torch.nn.functional.layer_norm(FIVE.data, (2,))
        torch.testing.assert_close(bridge(FIVE).data, bridge.output(normal))


def test_match_rms_scales_the_last_layer_only() -> None:
    bridge = LinearBridge(32, 48, hidden=20)
    before = {name: p.clone() for name, p in bridge.named_parameters()}
    measured = match_rms(bridge, 32, 0.02)
    changed = {name for name, p in bridge.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"output.weight", "output.bias"}
    assert match_rms(bridge, 32, 0.02) == pytest.approx(0.02, rel=1e-4)
    torch.testing.assert_close(bridge.output.weight, before["output.weight"] * 0.02 / measured)


@pytest.mark.parametrize("options", [{"stride": 0}, {"pool": "median"}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="^bridge linear: "):
        LinearBridge(2, 3, **options)
