"""Cross entropy against a hand-made sum."""

from __future__ import annotations

import math

import pytest
import torch

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.losses.lm import LmLoss

BATCH = Batch(["a"], Seq(torch.zeros(1, 0), torch.tensor([0])), torch.zeros(1), [""])


def output(rows: int = 5, vocabulary: int = 4) -> Output:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, vocabulary, generator=generator) * 3
    return Output(answer_logits=logits, answer_labels=torch.randint(vocabulary, (rows,), generator=generator))


def test_sum_of_negative_log_probabilities() -> None:
    given = output()
    assert given.answer_logits is not None and given.answer_labels is not None
    wanted = 0.0
    for row, label in zip(given.answer_logits.tolist(), given.answer_labels.tolist(), strict=True):
        wanted -= row[label] - math.log(sum(math.exp(score) for score in row))
    total, count = LmLoss()(given, BATCH)
    assert total.item() == pytest.approx(wanted, rel=1e-6) and count.item() == 5
    hits = (given.answer_logits.argmax(-1) == given.answer_labels).sum().item()
    assert given.notes["token_accuracy"] == pytest.approx(hits / 5)


def test_label_smoothing_mixes_in_the_mean_over_the_vocabulary() -> None:
    given = output()
    assert given.answer_logits is not None
    plain, _ = LmLoss()(given, BATCH)
    smooth, _ = LmLoss(label_smoothing=0.2)(given, BATCH)
    uniform = -given.answer_logits.log_softmax(-1).mean(-1).sum()
    torch.testing.assert_close(smooth, 0.8 * plain + 0.2 * uniform)


@pytest.mark.parametrize("chunk", [1, 2, 5, 9])
def test_chunks_change_neither_loss_nor_gradient(chunk: int) -> None:
    results = []
    for loss in (LmLoss(label_smoothing=0.1), LmLoss(label_smoothing=0.1, chunk=chunk)):
        given = output()
        assert given.answer_logits is not None
        given.answer_logits.requires_grad_()
        total, _ = loss(given, BATCH)
        total.backward()
        results.append((total.detach(), given.answer_logits.grad))
    torch.testing.assert_close(results[0], results[1])


def test_no_answer_at_all_is_zero_and_has_a_gradient() -> None:
    logits = torch.zeros(0, 4, requires_grad=True)
    total, count = LmLoss()(Output(answer_logits=logits, answer_labels=torch.zeros(0, dtype=torch.int64)), BATCH)
    total.backward()
    assert total.item() == 0 and count.item() == 0


@pytest.mark.parametrize("options", [{"label_smoothing": 1.0}, {"label_smoothing": -0.1}, {"chunk": -1}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="^loss lm: "):
        LmLoss(**options)
