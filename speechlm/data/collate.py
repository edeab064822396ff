"""The only place that pads: examples of different lengths become one batch."""

from __future__ import annotations

import torch

from speechlm.core.batch import Batch
from speechlm.core.seq import Seq
from speechlm.data.dataset import Example


def collate(examples: list[Example]) -> Batch:
    """Pad examples on the right into a batch; the order stays.

    `targets`, `answers` and `hot` are None unless every example has them.
    """
    if not examples:
        raise ValueError("a batch needs at least one example")
    return Batch(
        ids=[example.id for example in examples],
        # torch cannot hold numpy's read-only arrays (of the memory cache) without a copy.
        speech=Seq.of([torch.from_numpy(e.speech if e.speech.flags.writeable else e.speech.copy()) for e in examples]),
        seconds=torch.tensor([example.seconds for example in examples], dtype=torch.float32),
        texts=[example.text for example in examples],
        targets=_ids([example.targets for example in examples]),
        answers=_ids([example.answer for example in examples]),
        hot=_ids([example.hot for example in examples]),
    )


def _ids(rows: list[list[int] | None]) -> Seq | None:
    """Pad rows of ids into (B, U) int64."""
    present = [row for row in rows if row is not None]
    if len(present) < len(rows):
        return None
    return Seq.of([torch.tensor(row, dtype=torch.int64) for row in present])


def padding_share(batch: Batch) -> float:
    """Give the share of the speech steps that are padding, 0 to 1."""
    total = batch.speech.data.shape[0] * batch.speech.data.shape[1]
    return 1 - int(batch.speech.lens.sum()) / total if total else 0.0
