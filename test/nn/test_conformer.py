from __future__ import annotations

import torch

from speechlm.nn.attention import attention_mask, rotary_angles
from speechlm.nn.conformer import ConformerBlock, ConvModule


def run(block: ConformerBlock, x: torch.Tensor, lens: list[int]) -> torch.Tensor:
    size = x.shape[1]
    padding = torch.arange(size)[None, :, None] >= torch.tensor(lens)[:, None, None]
    return block(x, attention_mask(torch.tensor(lens), size), padding, rotary_angles(size, 4, x.device))


def test_valid_steps_do_not_see_the_padding():
    block = ConformerBlock(8, 2, 16, 5, 0.1).eval()
    x = torch.randn(1, 6, 8)
    longer = torch.cat([x, torch.full((1, 5, 8), 100.0)], 1)
    torch.testing.assert_close(run(block, longer, [6])[:, :6], run(block, x, [6]))


def test_number_of_parameters_is_the_closed_form():
    dim, ffn, kernel = 512, 2048, 31
    feed_forward = 2 * (dim * ffn) + ffn + dim
    attention = 4 * (dim * dim + dim)
    convolution = (dim * 2 * dim + 2 * dim) + (dim * kernel + dim) + 2 * dim + (dim * dim + dim)
    with torch.device("meta"):
        block = ConformerBlock(dim, 8, ffn, kernel, 0.1)
    assert sum(p.numel() for p in block.parameters()) == 2 * feed_forward + attention + convolution + 5 * 2 * dim


def test_half_steps_and_order_of_the_modules():
    block = ConformerBlock(8, 2, 16, 3, 0.1).eval()
    for silent in (block.attention.out_proj, block.conv.leave, block.ffn2.down):
        torch.nn.init.zeros_(silent.weight)
        torch.nn.init.zeros_(silent.bias)
    x = torch.randn(1, 4, 8)
    expected = block.norm_out(x + 0.5 * block.ffn1(block.norm_ffn1(x)))
    torch.testing.assert_close(run(block, x, [4]), expected)


def test_convolution_reaches_half_a_kernel_to_both_sides():
    module = ConvModule(4, 5).eval()
    x, none = torch.randn(1, 11, 4), torch.zeros(1, 11, 1, dtype=torch.bool)
    changed = x.clone()
    changed[0, 5] += 1
    moved = (module(x, none) != module(changed, none)).any(-1)[0]
    assert moved.nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]


def test_no_buffers_and_no_batch_statistics():
    block = ConformerBlock(8, 2, 16, 5, 0.0)
    assert list(block.buffers()) == []
    x = torch.randn(2, 6, 8)
    torch.testing.assert_close(run(block, x, [6, 6])[:1], run(block, x[:1], [6]))
