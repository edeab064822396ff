"""One step's gradient is that of the mean over all terms, however they fall into batches."""

from __future__ import annotations

import pytest
import torch

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.data.collate import collate
from speechlm.training.step import Accumulator, LossModel, LossTerm
from test.training.toy import TERMS, ToyModel, ToySet

CPU = torch.device("cpu")
SPLITS = [[[0, 1, 2, 3, 4, 5]], [[0, 1], [2, 3, 4, 5]], [[0, 1], [2, 3], [4, 5]], [[5, 4], [3, 2, 1, 0]]]


def batch(indices: list[int]) -> Batch:
    data = ToySet()
    return collate([data.read(i, 0) for i in indices])


def made(losses: int, norm: bool = False) -> LossModel:
    torch.manual_seed(0)
    return LossModel(ToyModel(dropout=0.0, norm=norm), [LossTerm(n, w, loss()) for n, w, loss in TERMS[:losses]])


def gradient(losses: int, split: list[list[int]]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    model = made(losses)
    parameters = [p for p in model.parameters() if p.requires_grad]
    result = Accumulator(model, model.terms, CPU, "fp32").run([batch(indices) for indices in split], parameters)
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}, result.means


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize("split", SPLITS[1:])
def test_accumulation_gives_the_mean_over_all_terms(losses: int, split: list[list[int]]) -> None:
    """One loss is divided at the end, two are counted before; both must equal one large batch."""
    one, mean = gradient(losses, SPLITS[0])
    other, other_mean = gradient(losses, split)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(other_mean, mean)


def test_a_mean_of_means_would_be_another_gradient() -> None:
    """The check above can fail: batches of 2 and 4 weighted alike give something else."""
    one, _ = gradient(1, SPLITS[0])
    halves = [gradient(1, [part])[0] for part in SPLITS[1]]
    name = "model.head.bias"
    assert not torch.allclose((halves[0][name] + halves[1][name]) / 2, one[name], rtol=1e-3)


def test_counting_before_leaves_batch_norm_alone() -> None:
    model = made(2, norm=True)
    alone = made(2, norm=True)
    parts = [batch(indices) for indices in SPLITS[1]]
    Accumulator(model, model.terms, CPU, "fp32").run(parts, list(model.parameters()))
    for part in parts:
        alone(part)
    assert torch.equal(model.model.norm.running_mean, alone.model.norm.running_mean)
    assert int(model.model.norm.num_batches_tracked) == 2


def test_a_loss_without_terms_adds_nothing() -> None:
    model = made(1)
    nothing = LossTerm("none", 5.0, lambda output, batch: (output.answer_logits.sum() * 0, torch.tensor(0)))
    model = LossModel(model.model, [*model.terms, nothing])
    result = Accumulator(model, model.terms, CPU, "fp32").run([batch([0, 1])], [])
    assert result.means.tolist()[1] == 0.0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_facts_of_the_step() -> None:
    model = made(2)
    parts = [batch([0, 1]), batch([2])]
    result = Accumulator(model, model.terms, CPU, "fp32").run(parts, [], stop=True)
    assert result.seconds == pytest.approx(float(ToySet().sizes[:3].sum()), rel=1e-5)
    assert result.steps_real == sum(int(p.speech.lens.sum()) for p in parts)
    assert result.steps_padded == sum(p.speech.data.shape[0] * p.speech.data.shape[1] for p in parts)
    assert result.stop and result.notes == {"rows": 1.5} and len(result.local_sums) == 2


def test_bf16_is_near_fp32() -> None:
    model = made(2)
    low = Accumulator(model, model.terms, CPU, "bf16").run([batch([0, 1, 2])], []).means
    high = Accumulator(model, model.terms, CPU, "fp32").run([batch([0, 1, 2])], []).means
    assert not torch.equal(low, high)
    torch.testing.assert_close(low, high, rtol=0.03, atol=0.03)


def test_names_of_losses_must_differ() -> None:
    term = LossTerm("a", 1.0, TERMS[0][2]())
    with pytest.raises(UserError, match="its own name"):
        LossModel(ToyModel(), [term, term])
    with pytest.raises(UserError, match="none"):
        LossModel(ToyModel(), [])
