"""A tiny model, its data and its trainer, for tests of training; everything follows from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.data.dataset import Example
from speechlm.data.loader import Loader
from speechlm.data.sampler import DurationSampler
from speechlm.training.distributed import rank, world
from speechlm.training.optim import OptimOptions
from speechlm.training.options import TrainOptions
from speechlm.training.seeds import seed_all
from speechlm.training.step import LossTerm
from speechlm.training.trainer import Trainer

WIDTH = 8


class ToySet:
    """Utterances of random frames; an example differs from epoch to epoch, as augmentation makes it."""

    def __init__(self, size: int = 24) -> None:
        self.ids = [f"u{i:03d}" for i in range(size)]
        self.sizes = np.random.default_rng(0).uniform(0.1, 0.6, size)
        self.broken: set[str] = set()

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int, epoch: int) -> Example:
        if self.ids[index] in self.broken:
            raise OSError(f"{self.ids[index]}.wav: cannot be read")
        random = np.random.default_rng([index, epoch])
        frames = random.standard_normal((int(self.sizes[index] * 20), WIDTH)).astype(np.float32)
        frames[:, index % 4] += 2.0  # what there is to learn
        return Example(self.ids[index], frames, float(self.sizes[index]), "a", [1 + index % 3], [index % 4, 0], "s")

    def choose(self, epoch: int) -> np.ndarray:
        return np.arange(len(self))

    def preload(self) -> None:
        """Nothing to keep."""


class ToyModel(nn.Module):
    """Repeated layers with dropout, a batch norm, a frozen part and a part that not every batch uses."""

    def __init__(self, dropout: float = 0.1, norm: bool = True) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(2)])
        self.norm = nn.BatchNorm1d(WIDTH) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.frozen = nn.Linear(WIDTH, WIDTH).requires_grad_(False)
        self.rare = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, batch: Batch) -> Output:
        hidden = batch.speech.data
        for layer in self.encoder:
            hidden = layer(hidden)
        mask = batch.speech.mask[..., None]
        pooled = self.norm((hidden * mask).sum(1) / mask.sum(1))  # (B, D)
        if len(batch) % 2:
            pooled = pooled + self.rare(pooled)
        logits = self.head(self.frozen(self.dropout(pooled)))
        assert batch.answers is not None
        return Output(
            encoded=Seq(hidden, batch.speech.lens),
            answer_logits=logits,
            answer_labels=batch.answers.data[:, 0],
            notes={"rows": float(len(batch))},
        )


class RowLoss:
    """Cross entropy of one label for each utterance; the count is their number."""

    def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        assert output.answer_logits is not None and output.answer_labels is not None
        total = nn.functional.cross_entropy(output.answer_logits.float(), output.answer_labels, reduction="sum")
        return total, torch.tensor(len(batch))


class FrameLoss(nn.Module):
    """Squared size of the frames through a trained scale; the count is the number of real frames."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(WIDTH))

    def forward(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        assert output.encoded is not None
        frames = torch.cat(output.encoded.rows())
        return (frames * self.scale).float().square().sum() / WIDTH, torch.tensor(len(frames))


TERMS = [("row", 1.0, RowLoss), ("frame", 0.3, FrameLoss)]

OPTIONS = TrainOptions(
    log_every=1, valid_every=4, save_every=2, keep=2, average=2, tensorboard=False, threads=1, device="cpu", trial=False
)


@dataclass
class Toy:
    """What a test wants of its trainer."""

    folder: Path
    steps: int = 12
    options: TrainOptions = OPTIONS
    workers: int = 0
    batch_seconds: float = 1.5
    dropout: float = 0.1
    norm: bool = True
    losses: int = 2
    optim: OptimOptions | None = None

    def trainer(self, **given: Any) -> Trainer:
        """Make a fresh trainer, as a new process would."""
        seed_all(self.options.seed)
        data = given.pop("data", None) or ToySet()
        sampler = DurationSampler(data.sizes, batch_seconds=self.batch_seconds, seed=3, rank=rank(), world=world())
        valid = Loader(data, DurationSampler(data.sizes, batch_seconds=9.0, shuffle=False))
        return Trainer(
            given.pop("model", None) or ToyModel(self.dropout, self.norm),
            given.pop("terms", None) or [LossTerm(name, weight, loss()) for name, weight, loss in TERMS[: self.losses]],
            folder=self.folder,
            train=Loader(data, sampler, workers=self.workers),
            valid=valid,
            optim=self.optim or OptimOptions(lr=0.05, steps=self.steps, warmup=3),
            options=self.options,
            **given,
        )

    def but(self, **changes: Any) -> Toy:
        """Change options of the section `train`."""
        return replace(self, options=replace(self.options, **changes))
