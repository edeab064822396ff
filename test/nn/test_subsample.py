from __future__ import annotations

import pytest
import torch

from speechlm.core.seq import Seq
from speechlm.nn.subsample import ConvSubsample


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_one_utterance_is_plain_convolutions(factor):
    module = ConvSubsample(11, 6, factor=factor, channels=3)
    x = torch.randn(1, 21, 11)
    y = x[:, None]
    for conv in module.convs:
        y = torch.nn.functional.conv2d(y, conv.weight, conv.bias, stride=2, padding=1).relu()
    frames = [torch.stack([y[0, :, t, f] for f in range(y.shape[3])]).flatten() for t in range(y.shape[2])]
    steps = [module.linear(frame) for frame in frames]
    out = module(Seq(x, torch.tensor([21])))
    torch.testing.assert_close(out.data[0], torch.stack(steps))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_every_length_is_the_ceiling_and_keeps_to_itself(factor):
    module = ConvSubsample(5, 4, factor=factor, channels=2)
    lens = torch.arange(1, 34)
    rows = [torch.randn(n, 5) for n in lens.tolist()]
    together = module(Seq.of(rows))
    assert together.lens.tolist() == [-(-n // factor) for n in lens.tolist()]
    for row, output in zip(rows, together.rows()):
        torch.testing.assert_close(module(Seq.of([row])).data[0], output)


def test_other_factors_are_refused():
    with pytest.raises(ValueError, match="2, 4 or 8, is 3"):
        ConvSubsample(5, 4, factor=3)  # type: ignore[arg-type]
