"""CTC against writing down every path, and the utterances that have none."""

from __future__ import annotations

import pytest
import torch

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.losses.ctc import CtcLoss, steps_needed
from test.reference.ctc_enumeration import ctc_negative_log_likelihood

TARGETS = [[], [1], [2], [1, 2], [1, 1], [2, 1, 2], [2, 2, 1], [1, 1, 1]]


def make(logits: list[torch.Tensor], targets: list[list[int]]) -> tuple[Output, Batch]:
    rows = Seq.of([torch.tensor(row, dtype=torch.int64) for row in targets])
    batch = Batch(["u"] * len(targets), Seq.of(logits), torch.ones(len(targets)), [""] * len(targets), rows)
    return Output(ctc_logits=Seq.of(logits)), batch


def draw(steps: int, seed: int) -> torch.Tensor:
    return torch.randn(steps, 3, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("targets", TARGETS, ids=str)
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_equals_enumeration(targets: list[int], steps: int) -> None:
    logits = draw(steps, seed=len(targets))
    wanted = ctc_negative_log_likelihood(logits.double().log_softmax(-1).tolist(), targets)
    output, batch = make([logits], [targets])
    total, count = CtcLoss()(output, batch)
    if wanted == float("inf"):
        assert total.item() == count.item() == 0 and output.notes["ctc_dropped"] == 1
    else:
        assert total.item() == pytest.approx(wanted, rel=1e-5)
        assert count.item() == max(1, len(targets)) and output.notes["ctc_dropped"] == 0


def test_steps_needed_count_repeats_of_real_units_only() -> None:
    targets = Seq.of([torch.tensor(row, dtype=torch.int64) for row in TARGETS], 1)
    assert steps_needed(targets.data, targets.lens).tolist() == [0, 1, 1, 2, 3, 3, 4, 5]


def test_an_utterance_that_is_too_short_adds_nothing() -> None:
    good, short = draw(4, 1), draw(2, 2)
    output, batch = make([good, short], [[1, 2], [1, 1]])
    assert output.ctc_logits is not None
    output.ctc_logits.data.requires_grad_()
    total, count = CtcLoss()(output, batch)
    total.backward()
    alone, _ = CtcLoss()(*make([good], [[1, 2]]))
    torch.testing.assert_close(total, alone)
    assert count.item() == 2 and output.notes["ctc_dropped"] == 1
    gradient = output.ctc_logits.data.grad
    assert gradient is not None and (gradient[1] == 0).all() and gradient[0].abs().sum() > 0


def test_what_is_counted() -> None:
    data = [draw(6, i) for i in range(3)]
    for per, wanted in (("tokens", 2 + 1 + 3), ("utterances", 3)):
        assert CtcLoss(per=per)(*make(data, [[1, 2], [], [2, 1, 2]]))[1].item() == wanted
    with pytest.raises(ValueError, match="^loss ctc: per must be"):
        CtcLoss(per="frames")
