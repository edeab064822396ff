"""The battery of the losses: what every loss of the table must keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from speechlm.core.batch import Batch, Output
from speechlm.core.registry import load, signature
from speechlm.core.seq import Seq
from speechlm.losses import KINDS

NAN = float("nan")
STEPS, UNITS, WORDS = [9, 6, 7], [3, 2, 0], [4, 1, 3]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lm": ("lm", {}),
    "lm-smooth": ("lm", {"label_smoothing": 0.1}),
    "lm-chunk": ("lm", {"chunk": 2}),
    "ctc": ("ctc", {}),
    "ctc-utterances": ("ctc", {"per": "utterances"}),
    "transducer": ("transducer", {}),
    "transducer-chunk": ("transducer", {"chunk": 1, "per": "utterances"}),
    "matching": ("matching", {}),
    "matching-dot": ("matching", {"attention": "dot", "mse_over": "sum"}),
    "matching-scaled": ("matching", {"attention": "scaled", "cosine": 0.0}),
    "matching-projection": ("matching", {"attention": "projection", "attention_dim": 4, "mse_over": "relative"}),
    "distill": ("distill", {}),
    "distill-mse": ("distill", {"distance": "mse", "normalise": False}),
    "distill-cos": ("distill", {"distance": "cos"}),
}
cases = pytest.mark.parametrize("name", CASES)


class Notebook:
    """A teacher that has written its lessons down, by utterance."""

    def __init__(self) -> None:
        self.notes: dict[str, float] = {"teacher_coverage": 1.0}
        generator = torch.Generator().manual_seed(3)
        self.values = [
            [torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (2, 1, 0)] for _ in range(2)
        ]
        self.positions = [torch.tensor([0, 2]), torch.tensor([1]), torch.tensor([], dtype=torch.int64)]

    def __call__(self, batch: Batch) -> list[tuple[Seq, Seq]]:
        rows = [int(name) for name in batch.ids]
        return [(Seq.of([self.positions[i] for i in rows]), Seq.of([layer[i] for i in rows])) for layer in self.values]


def make_loss(name: str) -> Callable[[Output, Batch], tuple[Tensor, Tensor]]:
    kind, options = CASES[name]
    torch.manual_seed(0)
    facts: list[Any] = {"matching": [6], "distill": [Notebook()]}.get(kind, [])
    loss = load("loss", kind)(*facts, **options)
    return loss.double() if isinstance(loss, torch.nn.Module) else loss


def make_data(chosen: list[int], *, dtype: torch.dtype = torch.float64, garbage: float = NAN) -> tuple[Output, Batch]:
    """Everything a loss may read, for some of three utterances; utterance 2 has no text, padding is garbage."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    encoded, ctc = [draw(n, 4) for n in STEPS], [draw(n, 5) for n in STEPS]
    joint = [draw(n, u + 1, 5) for n, u in zip(STEPS, UNITS, strict=True)]
    speech, text = [draw(n, 6) for n in STEPS], [draw(u, 6) for u in UNITS]
    answers = [draw(n, 7) for n in WORDS]
    labels = [torch.randint(7, (n,), generator=generator) for n in WORDS]
    representations = [[draw(u, 5) for u in UNITS] for _ in range(2)]
    targets = [torch.tensor([2, 2, 1]), torch.tensor([3, 1]), torch.tensor([], dtype=torch.int64)]
    longest, most = max(STEPS[i] for i in chosen), max(UNITS[i] for i in chosen)
    lattice = torch.full((len(chosen), longest, most + 1, 5), garbage, dtype=dtype)
    for row, i in enumerate(chosen):
        lattice[row, : STEPS[i], : UNITS[i] + 1] = joint[i]

    def pick(rows: list[Tensor], value: float = garbage) -> Seq:
        return Seq.of([rows[i] for i in chosen], value)

    output = Output(
        encoded=pick(encoded),
        ctc_logits=pick(ctc),
        speech_embeddings=pick(speech),
        text_embeddings=pick(text),
        answer_logits=torch.cat([answers[i] for i in chosen]),
        answer_labels=torch.cat([labels[i] for i in chosen]),
        joint_logits=lattice,
        representations=[pick(rows) for rows in representations],
    )
    batch = Batch(
        [str(i) for i in chosen], pick(encoded), torch.ones(len(chosen)), ["x"] * len(chosen), pick(targets, 0)
    )
    return output, batch


def learned(output: Output) -> dict[str, Tensor]:
    """Name the tensors that a loss's gradient may reach."""
    found = {}
    for field in fields(output):
        value = getattr(output, field.name)
        value = value.data if isinstance(value, Seq) else value
        if isinstance(value, Tensor) and value.is_floating_point():
            found[field.name] = value
    return {**found, **{f"representations{i}": seq.data for i, seq in enumerate(output.representations)}}


READS = {
    "lm": {"answer_logits"},
    "ctc": {"ctc_logits"},
    "transducer": {"joint_logits"},
    "matching": {"speech_embeddings"},
    "distill": {"representations0", "representations1"},
}


def test_every_kind_of_the_table_is_here() -> None:
    assert {kind for kind, _ in CASES.values()} == set(KINDS) == set(READS)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_docstring(kind: str) -> None:
    assert KINDS[kind] == f"speechlm.losses.{kind}:{kind.capitalize()}Loss"
    assert [option.name for option in signature("loss", kind).options if not option.sentence.endswith(".")] == []


@cases
def test_a_batch_is_the_sum_of_its_utterances(name: str) -> None:
    loss = make_loss(name)
    total, count = loss(*make_data([0, 1, 2]))
    parts = [loss(*make_data([i])) for i in range(3)]
    assert total.dim() == count.dim() == 0 and total.isfinite() and not count.requires_grad and count > 0
    torch.testing.assert_close(sum(part for part, _ in parts), total, atol=1e-5, rtol=1e-5)
    assert sum(float(part) for _, part in parts) == float(count)
    turned, _ = loss(*make_data([2, 0, 1]))
    torch.testing.assert_close(turned, total, atol=1e-5, rtol=1e-5)


@cases
def test_gradient_reaches_what_is_read_and_nothing_else(name: str) -> None:
    output, batch = make_data([0, 1, 2])
    given = {key: value.requires_grad_() for key, value in learned(output).items()}
    loss = make_loss(name)
    loss(output, batch)[0].backward()
    reached = {
        key for key, value in given.items() if value.grad is not None and value.grad.nan_to_num(1.0).abs().sum() > 0
    }
    assert reached == READS[CASES[name][0]]
    for key in reached:
        gradient, known = given[key].grad, given[key].isfinite()
        assert gradient is not None and gradient[known].isfinite().all()
        assert (gradient[~known] == 0).all(), "padding must get no gradient"
    if isinstance(loss, torch.nn.Module):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0] != "transducer"])  # fp32 only: its own test
def test_gradient_is_the_slope(name: str) -> None:
    loss = make_loss(name)
    kept = make_data([0, 1, 2], garbage=0.5)
    keys = sorted(READS[CASES[name][0]])
    tensors = [learned(kept[0])[key] for key in keys]

    def total(*values: Tensor) -> Tensor:
        output, batch = make_data([0, 1, 2], garbage=0.5)
        for key, value in zip(keys, values, strict=True):
            if key.startswith("representations"):
                i = int(key[-1])
                output.representations[i] = output.representations[i].with_data(value)
            else:
                old = getattr(output, key)
                output = replace(output, **{key: old.with_data(value) if isinstance(old, Seq) else value})
        return loss(output, batch)[0]

    assert torch.autograd.gradcheck(total, [value.clone().requires_grad_() for value in tensors], eps=1e-6, atol=1e-6)


@cases
def test_half_precision_in_full_precision_out(name: str) -> None:
    loss = make_loss(name)
    loss = loss.float() if isinstance(loss, torch.nn.Module) else loss
    half, wide = (loss(*make_data([0, 1, 2], dtype=dtype))[0] for dtype in (torch.bfloat16, torch.float32))
    assert half.dtype == wide.dtype == torch.float32 and half.isfinite()
    torch.testing.assert_close(half, wide, atol=0.05, rtol=0.05)


@cases
def test_a_model_without_the_output_is_told_so(name: str) -> None:
    kind = CASES[name][0]
    _, batch = make_data([0])
    with pytest.raises(ValueError, match=f"^loss {kind}: "):
        make_loss(name)(Output(), batch)


@pytest.mark.parametrize("name", ["ctc", "transducer"])
def test_a_batch_without_targets_is_told_so(name: str) -> None:
    output, batch = make_data([0])
    with pytest.raises(ValueError, match=f"^loss {name}: the batch has no targets"):
        make_loss(name)(output, replace(batch, targets=None))


@cases
def test_no_loss_in_no_text(name: str) -> None:
    """An utterance without text gives a finite loss with a gradient, and zeros where there is nothing to compare."""
    output, batch = make_data([2], garbage=0)
    given = [value.requires_grad_() for key, value in learned(output).items() if key in READS[CASES[name][0]]]
    total, count = make_loss(name)(output, batch)
    total.backward()
    assert total.isfinite() and all(value.grad is not None and value.grad.isfinite().all() for value in given)
    if CASES[name][0] in ("matching", "distill"):
        assert total == 0 and count == 0
