"""The battery of the bridges: what every bridge of the table must keep, with no new code per member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from speechlm.bridges import KINDS
from speechlm.bridges.linear import match_rms
from speechlm.core.registry import load, signature
from speechlm.core.seq import Seq
from speechlm.io.weights import load_weights, save_weights

DIM_IN, DIM_OUT = 16, 24


def ceil(steps: int, stride: int) -> int:
    return -(-steps // stride)


def unpadded(steps: int, kernel: int, stride: int, layers: int = 1) -> int:
    for _ in range(layers):
        steps = (steps - kernel) // stride + 1
    return max(1, steps)


SMALL = {"heads": 2, "dropout": 0.2}
# name: kind, options, steps in -> steps out (None: asked of the bridge's own test)
CASES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "linear": ("linear", {}, lambda t: ceil(t, 10)),
    "linear-max-mlp": ("linear", {"pool": "max", "stride": 3, "hidden": 12}, lambda t: ceil(t, 3)),
    "linear-stack": ("linear", {"pool": "stack", "stride": 4, "dropout": 0.1}, lambda t: ceil(t, 4)),
    "linear-attention": ("linear", {"pool": "attention", "stride": 5, "norm": False}, lambda t: ceil(t, 5)),
    "linear-each": ("linear", {"stride": 1}, lambda t: t),
    "conv": ("conv", {}, lambda t: unpadded(t, 4, 2, 2)),
    "conv-by-8": ("conv", {"num_layers": 3}, lambda t: unpadded(t, 4, 2, 3)),
    "conv_mlp": ("conv_mlp", {"hidden": 20}, lambda t: unpadded(t, 5, 5)),
    "conv_mlp-overlap": ("conv_mlp", {"hidden": 20, "kernel": 7, "stride": 2}, lambda t: unpadded(t, 7, 2)),
    "dws_mlp": ("dws_mlp", {"hidden": 20}, lambda t: ceil(t, 5)),
    "conv_transformer": ("conv_transformer", SMALL, lambda t: unpadded(t, 5, 5)),
    "query": ("query", {"window": 6, "queries": 2, **SMALL}, lambda t: 2 * ceil(t, 6)),
    "query-width": ("query", {"window": 4, "dim": 8, "num_layers": 1, **SMALL}, lambda t: ceil(t, 4)),
    "drop_blank": ("ctc_compress", {"mode": "drop_blank"}, None),
    "avg_runs": ("ctc_compress", {"mode": "avg_runs"}, None),
    "avg_runs_drop_blank": ("ctc_compress", {"mode": "avg_runs_drop_blank"}, None),
    "prob_threshold": ("ctc_compress", {"threshold": 0.5}, None),
    "ctc-warm-up": ("ctc_compress", {"warmup_steps": 3, "warmup_stride": 4}, None),
    "ctc_lookup": ("ctc_lookup", {"num_units": 5}, None),
    "ctc_lookup-frames": ("ctc_lookup", {"num_units": 5, "mode": "drop_blank", "temperature": 2.0}, None),
    "identity": ("identity", {}, lambda t: t),
}
cases = pytest.mark.parametrize("name", CASES)


def make(name: str) -> nn.Module:
    kind, options, _ = CASES[name]
    torch.manual_seed(0)
    return load("bridge", kind)(DIM_IN, DIM_IN if kind == "identity" else DIM_OUT, **options)


def inputs(lens: list[int], *, seed: int = 0, garbage: float = float("nan")) -> tuple[Seq, Seq]:
    """Speech and CTC logits (blank favoured) whose padding is garbage."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(n, DIM_IN, generator=generator) for n in lens]
    logits = [torch.randn(n, 5, generator=generator) * 2 + torch.tensor([1.5, 0, 0, 0, 0]) for n in lens]
    return Seq.of(rows, garbage), Seq.of(logits, garbage)


def alone(bridge: nn.Module, speech: Seq, logits: Seq) -> list[torch.Tensor]:
    pairs = zip(speech.rows(), logits.rows(), strict=True)
    return [bridge(Seq.of([row]), Seq.of([scores])).rows()[0] for row, scores in pairs]


def test_every_kind_of_the_table_is_here() -> None:
    assert {kind for kind, _, _ in CASES.values()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_names(kind: str) -> None:
    words = "".join(part.capitalize() for part in kind.split("_"))
    assert KINDS[kind] == f"speechlm.bridges.{kind}:{words}Bridge"
    assert load("bridge", kind).uses_ctc is kind.startswith("ctc_")


@pytest.mark.parametrize("kind", KINDS)
def test_docstring_names_every_option(kind: str) -> None:
    found = signature("bridge", kind)
    assert found.summary
    assert [option.name for option in found.options if not option.sentence.endswith(".")] == []


@cases
@torch.no_grad()
def test_lengths(name: str) -> None:
    steps_of, bridge = CASES[name][2], make(name).eval()
    lens = list(range(1, 42))
    out = bridge(*inputs(lens))
    if steps_of is not None:
        assert out.lens.tolist() == [steps_of(n) for n in lens]
    assert all(1 <= n <= out.data.shape[1] for n in out.lens.tolist())
    assert out.data.shape[-1] == (DIM_IN if name == "identity" else DIM_OUT)
    assert all(row.isfinite().all() for row in out.rows())


@cases
@torch.no_grad()
def test_alone_is_inside_a_padded_batch(name: str) -> None:
    bridge = make(name).eval()
    speech, logits = inputs([23, 1, 40, 7, 3, 12])
    for row, wanted in zip(bridge(speech, logits).rows(), alone(bridge, speech, logits), strict=True):
        torch.testing.assert_close(row, wanted, atol=2e-6, rtol=1e-5)


@cases
@torch.no_grad()
def test_order_of_the_batch_does_not_matter(name: str) -> None:
    bridge = make(name).eval()
    speech, logits = inputs([9, 30, 4])
    turned = bridge(Seq(speech.data.flip(0), speech.lens.flip(0)), Seq(logits.data.flip(0), logits.lens.flip(0)))
    for row, wanted in zip(reversed(turned.rows()), bridge(speech, logits).rows(), strict=True):
        torch.testing.assert_close(row, wanted, atol=2e-6, rtol=1e-5)


@cases
def test_gradient_reaches_every_parameter_and_no_padding(name: str) -> None:
    bridge = make(name).train()
    speech, logits = inputs([23, 2, 40])
    data = speech.data.requires_grad_()
    out = bridge(Seq(data, speech.lens), logits)
    out.data.masked_fill(~out.mask[..., None], 0).square().sum().backward()
    silent = [key for key, value in bridge.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert silent == [] and all(value.grad.isfinite().all() for value in bridge.parameters())
    assert data.grad is not None and data.grad[speech.mask].abs().sum() > 0
    assert (data.grad[~speech.mask] == 0).all()


@cases
@torch.no_grad()
def test_no_step_gives_no_step(name: str) -> None:
    out = make(name).eval()(*inputs([0, 5]))
    assert out.lens[0] == 0 and out.lens[1] >= 1 and out.rows()[1].isfinite().all()


@pytest.mark.parametrize("name", [name for name in CASES if name != "identity"])  # which has nothing to save
@torch.no_grad()
def test_saved_and_loaded_is_the_same(name: str, tmp_path: Path) -> None:
    bridge, other = make(name), make(name)
    for parameter in other.parameters():
        parameter.fill_(0.5)
    save_weights(tmp_path / "bridge.safetensors", bridge.state_dict(), {})
    other.load_state_dict(load_weights(tmp_path / "bridge.safetensors")[0])
    wanted, found = (part.eval()(*inputs([20, 6])) for part in (bridge, other))
    for row, same in zip(wanted.rows(), found.rows(), strict=True):
        assert torch.equal(row, same)


@cases
@torch.no_grad()
def test_bf16_is_finite_and_near(name: str) -> None:
    bridge = make(name).eval()
    speech, logits = inputs([33, 4, 1], garbage=0)
    wanted = bridge(speech, logits)
    out = bridge.to(torch.bfloat16)(speech.with_data(speech.data.bfloat16()), logits)
    assert out.data.dtype == torch.bfloat16 and torch.equal(out.lens, wanted.lens)
    for row, near in zip(out.rows(), wanted.rows(), strict=True):
        torch.testing.assert_close(row.float(), near, atol=0.1, rtol=0.1)


@cases
@torch.no_grad()
def test_scaled_to_the_embeddings_of_the_llm(name: str) -> None:
    bridge = make(name)
    match_rms(bridge, DIM_IN, 0.017)
    assert bridge.training
    speech = Seq(torch.randn(4, 200, DIM_IN), torch.full((4,), 200))
    never_blank = Seq(torch.randn(4, 200, 5) + torch.tensor([-30.0, 0, 0, 0, 0]), speech.lens)
    rms = bridge.eval()(speech, never_blank).data.square().mean().sqrt().item()
    if name != "identity" and "lookup" not in name:  # a table is brought, or starts as small as token embeddings
        assert rms == pytest.approx(0.017, rel=0.35 if "avg_runs" in name else 0.15)
