"""Several ranks give what one gives: DDP and FSDP2 over gloo against accumulation in one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from speechlm.io.weights import load_weights
from speechlm.training.distributed import from_main, rank, sum_over_ranks, world
from speechlm.training.optim import OptimOptions
from speechlm.training.step import Accumulator, LossModel, LossTerm
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


def train(folder: Path, parallel: str, losses: int, accumulate: int = 1) -> dict[str, torch.Tensor]:
    """Train a few steps and give the weights."""
    toy = Toy(folder, steps=STEPS, losses=losses, **PLAIN).but(parallel=parallel, accumulate=accumulate, average=1, save_every=0)
    toy = replace(toy, optim=OptimOptions(lr=0.01, steps=STEPS, schedule="constant", clip=0.1, eps=1e-3))
    toy.trainer(data=ToySet(40)).run()
    return load_weights(folder / "model.safetensors")[0]


@pytest.mark.parametrize(("parallel", "accumulate"), [("ddp", 1), ("fsdp", 1), ("ddp", 2), ("fsdp", 2)])
def test_two_ranks_are_one_rank_that_accumulates(tmp_path: Path, parallel: str, accumulate: int) -> None:
    """The same utterances a step: 2 ranks x n batches = 1 rank x 2n batches; the order of adding differs."""
    run_ranks(2, train, tmp_path / "two", parallel, 2, accumulate)
    two = load_weights(tmp_path / "two" / "model.safetensors")[0]
    one = train_global_batches(accumulate)
    assert two.keys() == one.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def train_global_batches(accumulate: int) -> dict[str, torch.Tensor]:
    """The oracle: torch's own AdamW on the loss over each step's utterances, computed at once from all batches."""
    from speechlm.data.collate import collate
    from speechlm.data.sampler import DurationSampler
    from speechlm.training.seeds import seed_all

    data = ToySet(40)
    seed_all(1)
    model = LossModel(ToyModel(**PLAIN), [LossTerm(name, weight, loss()) for name, weight, loss in TERMS])
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98), eps=1e-3)
    ranks = [DurationSampler(data.sizes, batch_seconds=1.5, seed=3, rank=r, world=2) for r in range(2)]
    stream = [(epoch, b.tolist()) for epoch in range(4) for pair in zip(*(r.batches_of(epoch) for r in ranks)) for b in pair]
    weights = torch.tensor([weight for _, weight, _ in TERMS])
    for step in range(STEPS):
        part = stream[step * 2 * accumulate : (step + 1) * 2 * accumulate]
        outputs = [model(collate([data.read(i, epoch) for i in indices])) for epoch, indices in part]
        sums, counts = sum(o[0] for o in outputs), sum(o[1] for o in outputs)
        adamw.zero_grad()
        (weights * sums / counts).sum().backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 0.1)
        adamw.step()
    names = {name.removeprefix("model."): p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return names


def ddp_gradient(losses: int) -> list[float]:
    """Gradient norm of one step on unequal batches."""
    from speechlm.data.collate import collate
    from speechlm.training.parallel import spread

    torch.manual_seed(0)
    terms = [LossTerm(name, weight, loss()) for name, weight, loss in TERMS[:losses]]
    model = LossModel(ToyModel(**PLAIN), terms)
    data = ToySet()
    mine = {1: [[0, 1, 2, 3, 4, 5, 6]], 2: [[0], [1, 2, 3, 4, 5, 6]]}[world()][rank()]
    module = spread(model, "ddp", torch.device("cpu"), "fp32")
    parameters = [p for p in model.parameters() if p.requires_grad]
    Accumulator(module, terms, torch.device("cpu"), "fp32").run([collate([data.read(i, 0) for i in mine])], parameters)
    return [float(p.grad.norm()) if p.grad is not None else 0.0 for p in model.model.head.parameters()]


def test_unequal_batches_count_by_their_terms() -> None:
    """One utterance here and six there: the mean is over seven, not over two means."""
    one = ddp_gradient(1)
    two = run_ranks(2, ddp_gradient, 1)
    # The part `rare` works in odd batches only, so the batch of 7 is compared through the head's bias count.
    assert two[0] == two[1]
    assert len(one) == len(two[0])
