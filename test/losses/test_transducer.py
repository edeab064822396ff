"""The RNN-T loss and its gradient against the recursion in plain loops, and that against writing down every path."""

from __future__ import annotations

import pytest
import torch

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.losses.transducer import TransducerLoss
from test.reference.rnnt_slow import rnnt_enumeration, rnnt_forward

STEPS, TARGETS = [5, 2, 4, 1], [[1, 2, 2], [3], [], [2, 1]]


def make(steps: list[int] = STEPS, *, vocabulary: int = 5, seed: int = 0) -> tuple[Output, Batch, list[torch.Tensor]]:
    """A batch whose logits are views of one leaf, so that gradients can be compared cell by cell."""
    generator = torch.Generator().manual_seed(seed)
    leaf = torch.randn(len(steps), max(steps), 4, vocabulary, generator=generator).requires_grad_()
    targets = Seq.of([torch.tensor(row, dtype=torch.int64) for row in TARGETS], -1)
    encoded = Seq(torch.zeros(len(steps), max(steps), 2), torch.tensor(steps))
    rows = [leaf[i, :n, : len(TARGETS[i]) + 1] for i, n in enumerate(steps)]
    return Output(encoded=encoded, joint_logits=leaf), Batch(["u"] * 4, encoded, torch.ones(4), [""] * 4, targets), rows


@pytest.mark.parametrize("steps, units", [(1, 0), (1, 2), (3, 0), (2, 3), (4, 2)])
def test_the_oracle_equals_enumeration(steps: int, units: int) -> None:
    logits = torch.randn(steps, units + 1, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    targets = [1, 3, 2][:units]
    torch.testing.assert_close(rnnt_forward(logits, targets), rnnt_enumeration(logits, targets))


@pytest.mark.parametrize("chunk", [0, 1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_gradient_equal_the_oracle(chunk: int, seed: int) -> None:
    output, batch, rows = make(seed=seed)
    assert output.joint_logits is not None
    total, count = TransducerLoss(chunk=chunk)(output, batch)
    (gradient,) = torch.autograd.grad(total, output.joint_logits)
    wanted = torch.stack([rnnt_forward(row, ids) for row, ids in zip(rows, TARGETS, strict=True)]).sum()
    (slow,) = torch.autograd.grad(wanted, output.joint_logits)
    torch.testing.assert_close(total, wanted)
    torch.testing.assert_close(gradient, slow, atol=1e-5, rtol=1e-4)
    assert count.item() == 3 + 1 + 1 + 2 and output.notes["transducer_dropped"] == 0


@pytest.mark.parametrize("chunk", [0, 2])
def test_an_utterance_without_a_step_adds_nothing(chunk: int) -> None:
    output, batch, rows = make([5, 0, 4, 1])
    total, count = TransducerLoss(chunk=chunk, per="utterances")(output, batch)
    kept = [(row, ids) for row, ids in zip(rows, TARGETS, strict=True) if len(row)]
    torch.testing.assert_close(total, torch.stack([rnnt_forward(row, ids) for row, ids in kept]).sum())
    assert count.item() == 3 and output.notes["transducer_dropped"] == 1
    total.backward()


def test_only_silence_in_the_batch() -> None:
    output, batch, _ = make([1, 1, 1, 1])
    nothing = Output(
        encoded=Seq(torch.zeros(4, 1, 2), torch.zeros(4, dtype=torch.int64)), joint_logits=output.joint_logits
    )
    total, count = TransducerLoss()(nothing, batch)
    total.backward()
    assert total.item() == count.item() == 0


def test_a_chunk_keeps_no_fp32_logits_for_the_backward_pass() -> None:
    def kept(chunk: int) -> int:
        output, batch, _ = make([5, 5, 5, 5])
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: (sizes.append(x.numel()), x)[1], lambda x: x):
            TransducerLoss(chunk=chunk)(output, batch)
        return max(sizes)

    assert kept(0) == 4 * 5 * 4 * 5 and kept(1) < kept(0)


def test_impossible_options_are_refused() -> None:
    for options in ({"per": "frames"}, {"chunk": -1}):
        with pytest.raises(ValueError, match="^loss transducer: "):
            TransducerLoss(**options)
