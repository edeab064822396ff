"""The transducer as a system: its size, memory-saving joins, no leak, teachers that never reach what decodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechlm.core.batch import Batch, Output
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.encoders.conformer import ConformerEncoder
from speechlm.heads.regression import RegressionHead
from speechlm.heads.transducer import TransducerHead
from speechlm.losses.distill import DistillLoss
from speechlm.losses.transducer import TransducerLoss
from speechlm.models.build import Facts, build_model
from speechlm.models.transducer import Transducer
from speechlm.options import read_experiment
from test.reference.rnnt_slow import rnnt_forward

ROOT = Path(__file__).resolve().parents[2]


def small(seed: int = 0) -> Transducer:
    torch.manual_seed(seed)
    encoder = ConformerEncoder(8, dim=16, layers=1, heads=2, ffn_dim=16, kernel=3, channels=4)
    return Transducer(encoder, TransducerHead(16, 6, predictor_dim=7, joint_dim=5)).eval()


def batch_of(frames: list[int], units: list[list[int]]) -> Batch:
    generator = torch.Generator().manual_seed(3)
    speech = Seq.of([torch.randn(n, 8, generator=generator) for n in frames])
    targets = Seq.of([torch.tensor(row, dtype=torch.int64) for row in units])
    return Batch([str(i) for i in range(len(frames))], speech, torch.tensor(frames) / 100, [""] * len(frames), targets)


BATCH = batch_of([40, 9, 23], [[2, 3, 2, 1], [5], []])


@pytest.mark.parametrize("conf", ["conformer_transducer", "conformer_transducer_kd_uniform2_context"])
def test_the_papers_shape_has_71_million_parameters(conf: str) -> None:
    """2309.04031: 71 M. The teacher's conf makes the same model: heads and teachers are not part of it."""
    values = read_experiment(ROOT / f"egs/swbd/asr1/conf/{conf}.yaml").values
    with torch.device("meta"):
        model = build_model(values, Facts(num_mels=80, num_targets=46))
    assert isinstance(model, Transducer)
    sizes = [sum(p.numel() for p in part.parameters())
             for part in (model.encoder.blocks, model.encoder.subsample, model.head, model)]  # fmt: skip
    assert sizes == [60_605_440, 1_460_096, 8_849_454, 70_914_990]


def test_loss_and_gradients_are_the_oracles_whatever_the_chunk() -> None:
    """Joined for all at once, or for one utterance at a time and again in the backward pass."""
    model = small().double()
    batch = Batch(BATCH.ids, Seq(BATCH.speech.data.double(), BATCH.speech.lens), BATCH.seconds, BATCH.texts, BATCH.targets)
    results = []
    for chunk in (-1, 0, 1, 2):
        model.zero_grad()
        output = model(batch)
        if chunk < 0:
            assert output.encoded is not None and output.joint is not None and batch.targets is not None
            total = torch.stack([
                rnnt_forward(output.joint(torch.tensor([i]))[0], row.tolist())
                for i, row in enumerate(batch.targets.rows())
            ]).sum()  # fmt: skip
        else:
            total, count = TransducerLoss(chunk=chunk)(output, batch)
            assert count.item() == 4 + 1 + 1
        total.backward()
        results.append((total.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}))
    assert all(grad.abs().sum() > 0 for name, grad in results[0][1].items())
    for total, grads in results[1:]:
        torch.testing.assert_close(total.double(), results[0][0], rtol=1e-5, atol=1e-5)
        for name, grad in grads.items():
            torch.testing.assert_close(grad, results[0][1][name], rtol=1e-3, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


def test_a_chunk_is_cut_to_its_own_longest_rows() -> None:
    output = small()(BATCH)
    assert output.joint is not None and output.joint_logits is None
    shapes = [tuple(output.joint(torch.tensor(rows)).shape) for rows in ([0, 1, 2], [1], [2, 1])]
    assert shapes == [(3, 10, 5, 6), (1, 3, 2, 6), (2, 6, 2, 6)]


@torch.no_grad()
def test_alone_is_as_in_the_batch() -> None:
    model = small()
    whole = model(BATCH)
    assert whole.encoded is not None and whole.unit_states is not None and whole.joint is not None
    for i, row in enumerate(BATCH.speech.rows()):
        alone = model(Batch(["x"], Seq.of([row]), torch.ones(1), [""], Seq.of([BATCH.targets.rows()[i]])))
        torch.testing.assert_close(alone.encoded.rows()[0], whole.encoded.rows()[i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.unit_states.rows()[0], whole.unit_states.rows()[i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.joint(torch.tensor([0])), whole.joint(torch.tensor([i])), atol=1e-5, rtol=1e-4)


class Fixed:
    """Teaches ones at every unit."""

    notes: dict[str, float] = {}

    def __call__(self, batch: Batch) -> list[tuple[Seq, Seq]]:
        assert batch.targets is not None
        places = [torch.arange(n) for n in batch.targets.lens.tolist()]
        return [(Seq.of(places), Seq.of([torch.ones(len(place), 3) for place in places]))]


@torch.no_grad()
@pytest.mark.parametrize("inputs, hears, reads", [("both", True, True), ("text_only", False, True),
                                                  ("acoustic_only", True, True)])  # fmt: skip
def test_no_leak_of_the_unit_into_its_own_regression(inputs: str, hears: bool, reads: bool) -> None:
    """Another unit u may change what is regressed after u, never at u or before; red if the state after u were taken."""
    model = small()
    loss = DistillLoss(Fixed(), [RegressionHead(16, 7, 3, inputs=inputs)])  # type: ignore[arg-type]

    def regress(units: list[int], frames: int = 40, scale: float = 1.0) -> torch.Tensor:
        batch = batch_of([frames], [units])
        output: Output = model(Batch(["u"], Seq(scale * batch.speech.data, batch.speech.lens), batch.seconds, [""], batch.targets))
        loss(output, batch)
        return output.representations[0].data[0]

    base, other = regress([2, 3, 4, 5]), regress([2, 1, 4, 5])
    changed = (base - other).abs().amax(-1) > 1e-7
    assert changed.tolist() == [False, False, reads, reads]
    assert ((regress([2, 3, 4, 5], scale=2.0) - base).abs().max() > 1e-7) == hears


def test_gradients_of_the_distillation_reach_encoder_predictor_and_heads() -> None:
    model = small()
    loss = DistillLoss(Fixed(), [RegressionHead(16, 7, 3)])
    total, _ = loss(model(BATCH), BATCH)
    total.backward()
    for part in (model.encoder, model.head.lstm, model.head.embedding, loss.heads):
        assert sum(p.grad.abs().sum() for p in part.parameters() if p.grad is not None) > 0
    assert all(p.grad is not None for p in loss.heads.parameters())
    assert not any("losses" in name or "regress" in name for name in model.state_dict())


def test_what_does_not_fit_is_told() -> None:
    values = {"encoder": {"kind": "conformer", "dim": 16, "heads": 2}, "head": {"kind": "transducer"}}
    with pytest.raises(UserError, match="^head.kind: transducer scores units"):
        build_model(values, Facts())
    with pytest.raises(UserError, match="^bridge: a transducer has none"):
        build_model({**values, "bridge": {"kind": "linear"}}, Facts(num_targets=9))
    with pytest.raises(ValueError, match="the batch has no targets"):
        small()(Batch(["u"], BATCH.speech, BATCH.seconds, [""]))
    with pytest.raises(ValueError, match="^loss distill: the model gives no unit_states"):
        DistillLoss(Fixed(), [RegressionHead(16, 7, 3)])(Output(), BATCH)
