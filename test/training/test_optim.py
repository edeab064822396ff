"""Parameter groups, clipping, and a state that is saved by name."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from speechlm.core.errors import UserError
from speechlm.training.optim import Optimizer, OptimOptions


def parts() -> dict[str, nn.Parameter]:
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": nn.Linear(3, 3), "bridge": nn.Linear(3, 3), "norm": nn.LayerNorm(3)})
    return dict(model.named_parameters())


def test_norms_and_biases_are_not_decayed_and_parts_have_their_rate() -> None:
    parameters = parts()
    optimizer = Optimizer(parameters, OptimOptions(weight_decay=0.1, lr_scale={"encoder": 0.5, "encoder.bias": 0.2}))
    found = {id(p): group for group in optimizer.adamw.param_groups for p in group["params"]}
    facts = {name: (found[id(p)]["scale"], found[id(p)]["weight_decay"]) for name, p in parameters.items()}
    assert facts == {
        "encoder.weight": (0.5, 0.1), "encoder.bias": (0.2, 0.0), "bridge.weight": (1.0, 0.1),
        "bridge.bias": (1.0, 0.0),
        "norm.weight": (1.0, 0.0), "norm.bias": (1.0, 0.0),
    }  # fmt: skip


def test_a_scale_moves_the_part_that_much_less() -> None:
    parameters = parts()
    options = OptimOptions(lr=0.1, weight_decay=0.0, schedule="constant", lr_scale={"encoder": 0.5}, clip=0.0)
    optimizer = Optimizer(parameters, options)
    before = {name: p.detach().clone() for name, p in parameters.items()}
    for p in parameters.values():
        p.grad = torch.ones_like(p)
    optimizer.step(1, optimizer.norm())
    moved = {name: float((p.detach() - before[name]).abs().mean()) for name, p in parameters.items()}
    assert moved["bridge.weight"] == pytest.approx(0.1, rel=1e-3)
    assert moved["encoder.weight"] == pytest.approx(0.05, rel=1e-3)


def test_clips_the_whole_gradient() -> None:
    parameters = parts()
    optimizer = Optimizer(parameters, OptimOptions(clip=0.5))
    for p in parameters.values():
        p.grad = torch.full_like(p, 2.0)
    count = sum(p.numel() for p in parameters.values())
    norm = optimizer.norm()
    assert float(norm) == pytest.approx(2 * count**0.5)
    seen = []
    optimizer.adamw.step = lambda: seen.append(float(optimizer.norm()))  # type: ignore[method-assign]
    optimizer.step(1, norm)
    assert seen == [pytest.approx(0.5, rel=1e-4)]


def test_what_no_batch_reached_counts_as_zero() -> None:
    parameters = parts()
    optimizer = Optimizer(parameters, OptimOptions(schedule="constant"))
    parameters["encoder.weight"].grad = torch.ones(3, 3)
    assert set(optimizer.unreached()) == set(parameters) - {"encoder.weight"}
    before = parameters["bridge.bias"].detach().clone()
    optimizer.step(1, optimizer.norm())
    assert torch.equal(parameters["bridge.bias"], before)
    assert float(optimizer.adamw.state[parameters["bridge.bias"]]["step"]) == 1


def test_state_comes_back_by_name() -> None:
    def run(optimizer: Optimizer, parameters: dict[str, nn.Parameter], steps: range) -> None:
        for step in steps:
            for i, p in enumerate(parameters.values()):
                p.grad = torch.full_like(p, 0.1 * i + step)
            optimizer.step(step, optimizer.norm())

    options = OptimOptions(lr=0.1, steps=10, warmup=2)
    whole = parts()
    run(Optimizer(whole, options), whole, range(1, 7))
    first = parts()
    optimizer = Optimizer(first, options)
    run(optimizer, first, range(1, 4))
    second = dict(reversed(first.items()))  # another order of the same names
    other = Optimizer(second, options)
    other.load_state_dict(optimizer.state_dict())
    for step in range(4, 7):
        for i, p in enumerate(first.values()):
            p.grad = torch.full_like(p, 0.1 * i + step)
        other.step(step, other.norm())
    for name in whole:
        assert torch.equal(whole[name], second[name]), name


def test_says_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match="nothing to train"):
        Optimizer({}, OptimOptions())
    with pytest.raises(UserError, match=r"'brige'.*bridge, encoder, norm"):
        Optimizer(parts(), OptimOptions(lr_scale={"brige": 0.1}))
    with pytest.raises(UserError, match="other parameters"):
        Optimizer(parts(), OptimOptions()).load_state_dict({"encoder.weight": {}})
    with caplog.at_level(logging.WARNING):
        Optimizer({"w": nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))}, OptimOptions())
    assert "use float32" in caplog.text
