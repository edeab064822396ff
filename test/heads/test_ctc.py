"""The CTC head is one Linear behind dropout."""

from __future__ import annotations

import pytest
import torch

from speechlm.core.seq import Seq
from speechlm.heads.ctc import CtcHead


def test_scores_every_step_and_keeps_the_lengths() -> None:
    head = CtcHead(4, 7).eval()
    encoded = Seq(torch.randn(2, 5, 4), torch.tensor([5, 2]))
    logits = head(encoded)
    assert logits.data.shape == (2, 5, 7) and logits.lens is encoded.lens
    torch.testing.assert_close(logits.data, encoded.data @ head.output.weight.T + head.output.bias)


def test_dropout_acts_while_training_only() -> None:
    head = CtcHead(4, 7, dropout=1.0)
    encoded = Seq(torch.randn(1, 5, 4), torch.tensor([5]))
    assert torch.equal(head.train()(encoded).data, head.output.bias.expand(1, 5, 7))
    assert not torch.equal(head.eval()(encoded).data, head.output.bias.expand(1, 5, 7))


def test_needs_a_unit_beside_the_blank() -> None:
    with pytest.raises(ValueError, match="^head ctc: "):
        CtcHead(4, 1)
