"""The transducer's head: what each state has read, the joiner's arithmetic, and the way of a search."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.heads.ctc import CtcHead
from speechlm.heads.transducer import TransducerHead

OPTIONS: dict[str, Any] = {"predictor_dim": 6, "joint_dim": 5}
ENCODED = Seq(torch.randn(2, 4, 3), torch.tensor([4, 2]))
TARGETS = Seq(torch.tensor([[2, 1, 3], [4, -1, -1]]), torch.tensor([3, 1]))


def head(**options: Any) -> TransducerHead:
    torch.manual_seed(0)
    return TransducerHead(3, 7, **OPTIONS, **options).eval()


@torch.no_grad()
@pytest.mark.parametrize("combine", ["additive", "multiplicative"])
def test_logits_of_every_cell(combine: str) -> None:
    part = head(combine=combine)
    logits, predicted = part(ENCODED, TARGETS)
    assert logits.shape == (2, 4, 4, 7) and predicted.lens.tolist() == [4, 2]
    acoustic, text = part.encoder_proj(ENCODED.data[1, 3]), part.predictor_proj(predicted.data[1, 1])
    met = acoustic + text if combine == "additive" else acoustic * text
    torch.testing.assert_close(logits[1, 3, 1], part.output(met.tanh()))


@torch.no_grad()
def test_with_identity_a_ctc_head_means_the_same() -> None:
    torch.manual_seed(0)
    ctc, part = CtcHead(3, 7), TransducerHead(3, 7, predictor_dim=6, joint_dim=3, identity=True)
    found = part.load_state_dict(ctc.state_dict(), strict=False)
    assert not found.unexpected_keys
    part.predictor_proj.weight.zero_()
    part.predictor_proj.bias.zero_()
    small = ENCODED.with_data(0.01 * ENCODED.data)  # where tanh is straight
    logits, _ = part(small, TARGETS)
    torch.testing.assert_close(logits, ctc(small).data[:, :, None].expand_as(logits), atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="joint_dim must be the encoder's width 3, is 5"):
        head(identity=True)


@torch.no_grad()
def test_state_u_has_read_the_units_before_u_only() -> None:
    part = head()
    for u in range(3):
        other = TARGETS.data.clone()
        other[0, u] = 6
        difference = (part.predict(Seq(other, TARGETS.lens)).data - part.predict(TARGETS).data)[0].abs().amax(-1)
        assert (difference[: u + 1] == 0).all() and (difference[u + 1 :] > 1e-5).all()


@torch.no_grad()
def test_step_by_step_is_all_at_once() -> None:
    part = head(predictor_layers=2, embedding_dim=4)
    whole = part.predict(TARGETS).data[:1]
    state, states = None, []
    for unit in (0, 2, 1, 3):
        out, state = part.step(torch.tensor([[unit]]), state)
        states.append(out)
    torch.testing.assert_close(torch.cat(states, dim=1), whole)


def test_dropout_acts_on_the_predictor() -> None:
    part = head(dropout=1.0).train()
    assert (part.predict(TARGETS).data == 0).all()


def test_gradient_reaches_every_parameter() -> None:
    part = TransducerHead(3, 7, **OPTIONS)
    part(ENCODED, TARGETS)[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="^head transducer: combine"):
        TransducerHead(3, 7, combine="sum")
    with pytest.raises(ValueError, match="^head transducer: needs the blank"):
        TransducerHead(3, 1)
