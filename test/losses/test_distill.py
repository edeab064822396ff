"""Distances by hand; the mean over K; words that end beyond the model's units."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.losses.distill import DistillLoss

BATCH = Batch(["a", "b"], Seq(torch.zeros(2, 0), torch.tensor([0, 0])), torch.zeros(2), ["", ""])


class Fixed:
    """A teacher of fixed lessons."""

    def __init__(self, lessons: list[tuple[Seq, Seq]]) -> None:
        self.lessons, self.notes = lessons, {"teacher_coverage": 0.97}

    def __call__(self, batch: Batch) -> list[tuple[Seq, Seq]]:
        return self.lessons


def lesson(scale: float = 1.0) -> tuple[Seq, Seq]:
    torch.manual_seed(int(scale))
    positions = Seq.of([torch.tensor([1, 4]), torch.tensor([0])], 99)
    return positions, Seq.of([torch.randn(2, 6) * scale, torch.randn(1, 6) * scale], float("nan"))


def student() -> Seq:
    torch.manual_seed(9)
    return Seq.of([torch.randn(5, 6), torch.randn(2, 6)], float("nan"))


@pytest.mark.parametrize("distance", ["l1", "mse", "cos"])
@pytest.mark.parametrize("normalise", [True, False])
def test_distance_of_the_words_at_their_last_units(distance: Any, normalise: bool) -> None:
    (positions, values), said = lesson(), student()
    output = Output(representations=[said])
    total, count = DistillLoss(Fixed([(positions, values)]), distance=distance, normalise=normalise)(output, BATCH)
    wanted = torch.zeros(())
    for row, word, place in ((0, 0, 1), (0, 1, 4), (1, 0, 0)):
        x, y = said.data[row, place], values.data[row, word]
        y = (y - y.mean()) / (y.var(unbiased=False) + 1e-5).sqrt() if normalise else y
        cosine = F.cosine_similarity(x, y, dim=0)
        wanted = wanted + {"l1": (x - y).abs().mean(), "mse": (x - y).square().mean(), "cos": 1 - cosine}[distance]
    torch.testing.assert_close(total, wanted)
    assert count.item() == 3 and output.notes["teacher_coverage"] == 0.97


def test_the_mean_over_k_and_not_the_sum() -> None:
    one, two, said = lesson(1), lesson(2), student()
    single = [DistillLoss(Fixed([x]))(Output(representations=[said]), BATCH)[0] for x in (one, two)]
    both, count = DistillLoss(Fixed([one, two]))(Output(representations=[said, said]), BATCH)
    torch.testing.assert_close(both, (single[0] + single[1]) / 2)
    assert count.item() == 3


def test_normalised_teachers_have_one_scale() -> None:
    positions, values = lesson()
    louder = values.with_data(values.data * 40)
    losses = [
        DistillLoss(Fixed([(positions, x)]))(Output(representations=[student()]), BATCH)[0] for x in (values, louder)
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match="teachers give 1 representations, the model 2"):
        DistillLoss(Fixed([lesson()]))(Output(representations=[student(), student()]), BATCH)
    short = Seq(student().data[:, :3], torch.tensor([3, 2]))
    with pytest.raises(ValueError, match="a word ends at unit 4, the model has 3"):
        DistillLoss(Fixed([lesson()]))(Output(representations=[short]), BATCH)
    with pytest.raises(ValueError, match="^loss distill: distance"):
        DistillLoss(Fixed([]), distance="l3")
