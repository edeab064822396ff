"""Several ranks give what one gives: DDP and FSDP2 over gloo against accumulation in one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from speechlm.data.collate import collate
from speechlm.data.sampler import DurationSampler
from speechlm.io.weights import load_weights
from speechlm.training.checkpoint import WEIGHTS, Checkpoints
from speechlm.training.distributed import from_main, rank, sum_over_ranks, world
from speechlm.training.optim import OptimOptions
from speechlm.training.seeds import seed_all
from speechlm.training.step import LossModel, LossTerm
from test.training.processes import run_ranks
from test.training.toy import TERMS, Toy, ToyModel, ToySet

STEPS = 6
PLAIN = {"dropout": 0.0, "norm": False}  # what depends on the batch is not comparable


def facts() -> tuple[int, int, float, str]:
    """Say who I am."""
    return rank(), world(), float(sum_over_ranks(torch.tensor(float(rank() + 1)))), from_main(f"from {rank()}")


def test_ranks_know_each_other() -> None:
    assert run_ranks(2, facts) == [(0, 2, 3.0, "from 0"), (1, 2, 3.0, "from 0")]


def test_without_ranks_there_is_one() -> None:
    assert facts() == (0, 1, 1.0, "from 0")


CASES = [("ddp", 1), ("fsdp", 1), ("ddp", 2), ("fsdp", 2)]


def train_all(folder: Path) -> None:
    """Train a few steps in each way; all in one pair of processes, to save their start."""
    for parallel, accumulate in CASES:
        toy = Toy(folder / f"{parallel}{accumulate}", steps=STEPS, **PLAIN)
        toy = toy.but(parallel=parallel, accumulate=accumulate, average=1, save_every=0)
        toy = replace(toy, optim=OptimOptions(lr=0.01, steps=STEPS, schedule="constant", clip=0.1, eps=1e-3))
        toy.trainer(data=ToySet(40)).run()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two ranks trained in each way."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(2, train_all, folder, timeout=120)
    return folder


@pytest.mark.parametrize(("parallel", "accumulate"), CASES)
def test_result_does_not_depend_on_the_number_of_ranks(trained: Path, parallel: str, accumulate: int) -> None:
    """The same utterances a step: 2 ranks x n batches = all at once in one process; only rounding differs."""
    folder = trained / f"{parallel}{accumulate}"
    two = load_weights(Checkpoints(folder / "checkpoints").path(STEPS) / WEIGHTS)[0]
    one = train_at_once(accumulate)
    assert two.keys() == one.keys()
    decodes = load_weights(folder / "model.safetensors")[0].keys()
    assert decodes == {name for name in one if not name.startswith("losses.")} != one.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(
            two[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def train_at_once(accumulate: int) -> dict[str, torch.Tensor]:
    """The oracle: torch's own AdamW on the loss over each step's utterances, computed at once from all batches."""
    data = ToySet(40)
    seed_all(1)
    model = LossModel(ToyModel(**PLAIN), [LossTerm(name, weight, loss()) for name, weight, loss in TERMS])
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98), eps=1e-3)
    ranks = [DurationSampler(data.sizes, batch_seconds=1.5, seed=3, rank=r, world=2) for r in range(2)]
    stream = [
        (epoch, b.tolist()) for epoch in range(4) for pair in zip(*(r.batches_of(epoch) for r in ranks)) for b in pair
    ]
    weights = torch.tensor([weight for _, weight, _ in TERMS])
    for step in range(STEPS):
        part = stream[step * 2 * accumulate : (step + 1) * 2 * accumulate]
        outputs = [model(collate([data.read(i, epoch) for i in indices])) for epoch, indices in part]
        sums, counts = sum(o[0] for o in outputs), sum(o[1] for o in outputs)
        adamw.zero_grad()
        (weights * sums / counts).sum().backward()
        for parameter in (*decayed, *others):
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.nn.utils.clip_grad_norm_([*decayed, *others], 0.1)
        adamw.step()
    return {name.removeprefix("model."): p.detach() for name, p in model.named_parameters() if p.requires_grad}
