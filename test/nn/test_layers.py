from __future__ import annotations

import pytest
import torch

from speechlm.nn.layers import DepthwiseConv, FeedForward


def test_depthwise_convolution_is_conv1d_with_groups():
    module = DepthwiseConv(6, 5)
    x = torch.randn(2, 9, 6)
    weight = module.conv.weight[..., 0]
    expected = torch.nn.functional.conv1d(x.transpose(1, 2), weight, module.conv.bias, padding=2, groups=6)
    torch.testing.assert_close(module(x), expected.transpose(1, 2))


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd to keep the length, is 4"):
        DepthwiseConv(6, 4)


def test_feed_forward_is_two_maps_with_silu_between():
    module = FeedForward(4, 7, 0.5).eval()
    x = torch.randn(3, 4)
    hidden = x @ module.up.weight.T + module.up.bias
    expected = (hidden * hidden.sigmoid()) @ module.down.weight.T + module.down.bias
    torch.testing.assert_close(module(x), expected)
    assert not torch.equal(module.train()(x), module(x))
