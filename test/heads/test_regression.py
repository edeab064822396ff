"""The regression head sees what it says it sees, and never the token itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from speechlm.core.seq import Seq
from speechlm.heads.regression import RegressionHead
from speechlm.heads.transducer import TransducerHead

INPUTS = ("both", "text_only", "acoustic_only")


def head(**options: Any) -> RegressionHead:
    torch.manual_seed(0)
    return RegressionHead(4, 6, 5, attention_dim=8, **options).eval()


def data() -> tuple[Seq, Seq]:
    torch.manual_seed(1)
    nan = float("nan")
    encoded = Seq.of([torch.randn(7, 4), torch.randn(3, 4)], nan)
    return encoded, Seq.of([torch.randn(3, 6), torch.randn(2, 6)], 0.0)


@torch.no_grad()
@pytest.mark.parametrize("inputs", INPUTS)
def test_what_it_sees(inputs: str) -> None:
    part, (encoded, states) = head(inputs=inputs), data()
    before = part(encoded, states).data[0]
    louder = part(Seq(encoded.data * 2, encoded.lens), states).data[0]
    other = part(encoded, Seq(states.data * 2, states.lens)).data[0]
    assert ((louder - before).abs().max() > 1e-4) == (inputs != "text_only")
    assert (other - before).abs().max() > 1e-4


@torch.no_grad()
def test_acoustic_only_uses_the_state_to_look_and_for_nothing_else() -> None:
    part, (_, states) = head(inputs="acoustic_only"), data()
    steady = Seq(torch.ones(1, 5, 4), torch.tensor([5]))  # wherever it looks, it sees the same
    found = part(steady, Seq(states.data[:1], states.lens[:1])).data[0]
    torch.testing.assert_close(found[0], found[1])


@torch.no_grad()
@pytest.mark.parametrize("inputs", INPUTS)
def test_alone_is_inside_a_padded_batch(inputs: str) -> None:
    part, (encoded, states) = head(inputs=inputs), data()
    both = part(encoded, states).rows()
    for i in range(2):
        single = part(Seq.of([encoded.rows()[i]]), Seq.of([states.rows()[i]])).rows()[0]
        torch.testing.assert_close(both[i], single)


@torch.no_grad()
def test_context_is_the_soft_maximum_over_real_steps() -> None:
    part, (encoded, states) = head(), data()
    scores = part.query(states.data[1, :2]) @ part.key(encoded.data[1, :3]).T / 8**0.5
    torch.testing.assert_close(part.look(encoded, states.data)[1, :2], scores.softmax(-1) @ encoded.data[1, :3])


@torch.no_grad()
def test_the_state_before_a_token_does_not_tell_it() -> None:
    """The way models use it: states of the predictor without the last; the one after would leak the token."""
    torch.manual_seed(0)
    predictor, part, (encoded, _) = TransducerHead(4, 9, predictor_dim=6).eval(), head(), data()
    encoded = encoded.zero_padding()

    def regress(tokens: list[int], first: int) -> torch.Tensor:
        states = predictor.predict(Seq(torch.tensor([tokens]), torch.tensor([3]))).data[:, first : first + 3]
        return part(Seq(encoded.data[:1], encoded.lens[:1]), Seq(states, torch.tensor([3]))).data[0, 1]

    assert torch.equal(regress([1, 2, 3], 0), regress([1, 7, 3], 0))
    assert not torch.equal(regress([1, 2, 3], 1), regress([1, 7, 3], 1))


@pytest.mark.parametrize("inputs", INPUTS)
def test_gradient_reaches_every_parameter(inputs: str) -> None:
    part, (encoded, states) = head(inputs=inputs, hidden=3), data()
    part(encoded, states).data.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in part.parameters())


def test_dropout_and_unknown_inputs() -> None:
    part, (encoded, states) = head(dropout=1.0).train(), data()
    assert part(encoded, states).data.std(dim=(0, 1)).max() < 1e-6  # all alike but for rounding
    with pytest.raises(ValueError, match="^head regression: inputs"):
        RegressionHead(4, 6, 5, inputs="none")
