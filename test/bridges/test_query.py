"""Each window of speech is read by itself, by the same queries."""

from __future__ import annotations

import pytest
import torch

from speechlm.bridges.query import QueryBridge
from speechlm.core.seq import Seq


@torch.no_grad()
def test_a_window_sees_itself_only_and_the_order_within_it() -> None:
    bridge = QueryBridge(8, 6, window=4, queries=2, heads=2).eval()
    torch.nn.init.normal_(bridge.position)
    x = torch.randn(1, 12, 8)
    before = bridge(Seq(x, torch.tensor([12]))).data
    other = x.clone()
    other[:, [4, 5]] = x[:, [5, 4]]  # the second window, turned around
    changed = (bridge(Seq(other, torch.tensor([12]))).data - before).abs().amax(-1)[0] > 1e-4
    assert changed.tolist() == [False, False, True, True, False, False]


@torch.no_grad()
def test_equal_windows_give_equal_steps_and_queries_differ() -> None:
    bridge = QueryBridge(8, 6, window=4, queries=2, heads=2).eval()
    out = bridge(Seq(torch.randn(1, 4, 8).repeat(1, 2, 1), torch.tensor([8]))).data[0]
    torch.testing.assert_close(out[:2], out[2:])
    assert (out[0] - out[1]).abs().max() > 1e-3


@pytest.mark.parametrize("options", [{"heads": 3}, {"window": 0}, {"queries": 0}, {"num_layers": 0}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="^bridge query: "):
        QueryBridge(8, 6, **options)


@torch.no_grad()
def test_an_incomplete_window_is_read_with_its_real_steps_only() -> None:
    bridge, smaller = (QueryBridge(8, 6, window=window, heads=2).eval() for window in (4, 3))
    weights = bridge.state_dict()
    smaller.load_state_dict({**weights, "position": weights["position"][:3]})
    speech = Seq(torch.randn(1, 3, 8), torch.tensor([3]))
    torch.testing.assert_close(bridge(speech).data, smaller(speech).data)
