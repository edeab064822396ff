"""RNN transducer loss over the units of the batch's targets: torchaudio behind one interface."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq


def rnnt_losses(logits: Tensor, steps: Tensor, targets: Seq) -> Tensor:
    """-log of the summed probability of all alignments (arXiv 1211.3711), per row (B,), in fp32; blank is 0.

    logits: (B, T, U + 1, V), any float type; may be longer than the longest row.
    steps: (B,) encoder steps, each >= 1.
    """
    from torchaudio.functional import rnnt_loss

    longest, most = int(steps.max()), int(targets.lens.max())
    if most == 0:  # torchaudio wants a target column; with U = 0 the only path is blank at each step
        blank = logits[:, :longest, 0].float().log_softmax(-1)[..., 0]  # (B, T)
        real = torch.arange(longest, device=logits.device)[None, :] < steps[:, None]
        return -(blank * real).sum(1)
    return rnnt_loss(
        logits[:, :longest, : most + 1].float().contiguous(),
        targets.data[:, :most].clamp(min=0).to(torch.int32).contiguous(),
        steps.to(torch.int32),
        targets.lens.to(torch.int32),
        blank=0,
        reduction="none",
    )


class TransducerLoss:
    """-log p(units | speech) of an RNN transducer, summed over utterances.

    The logits (B, T, U + 1, V) are the largest tensor of the training, and what the joiner computes on the way to them
    (B, T, U + 1, joint_dim) is no smaller. With `chunk` a few utterances at a time are joined, brought to fp32 and
    scored, each chunk cut to its own longest T and U; the backward pass computes a chunk again instead of keeping it.
    So neither tensor ever exists for the whole batch: 16 utterances of 12 s with 150 characters need 882 MiB in chunks of
    4 and 467 MiB in chunks of 1, instead of 2252 MiB (`python -m test.bench.bench_transducer_memory`). Utterances without
    an encoder step add neither loss nor count and are told in the notes: `transducer_dropped`.

    Options:
        per: what the sum is a mean over in the end: tokens (an empty transcript counts as one) or utterances.
        chunk: utterances computed at once, 0 for the whole batch.
    """

    def __init__(self, *, per: Literal["tokens", "utterances"] = "tokens", chunk: int = 0) -> None:
        if per not in ("tokens", "utterances"):
            raise ValueError(f"loss transducer: per must be tokens or utterances, is {per!r}")
        if chunk < 0:
            raise ValueError(f"loss transducer: chunk must be >= 0, is {chunk}")
        self.per, self.chunk = per, chunk

    def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give (sum over utterances, count); ValueError if the model has no joiner or the batch no targets."""
        if output.encoded is None or (output.joint is None and output.joint_logits is None):
            raise ValueError("loss transducer: the model gives no joint_logits; it needs model transducer")
        if batch.targets is None:
            raise ValueError("loss transducer: the batch has no targets; the dataset needs a token list (text.tokens)")
        steps, targets = output.encoded.lens, batch.targets
        rows = (steps > 0).nonzero()[:, 0]
        output.notes["transducer_dropped"] = float(len(steps) - len(rows))
        counts = targets.lens.clamp(min=1) if self.per == "tokens" else torch.ones_like(targets.lens)
        if not len(rows):
            made = output.encoded.data if output.joint_logits is None else output.joint_logits
            return made[rows].float().sum(), counts[rows].sum()  # 0, tied to the graph
        chunks = rows.split(self.chunk or len(rows))
        if len(chunks) == 1:
            return _chunk_loss(output, targets, rows), counts[rows].sum()
        sums = [checkpoint(_chunk_loss, output, targets, part, use_reentrant=False) for part in chunks]
        return torch.stack(sums).sum(), counts[rows].sum()


def _chunk_loss(output: Output, targets: Seq, rows: Tensor) -> Tensor:
    """Join a few rows and add up their losses."""
    assert output.encoded is not None
    if output.joint is not None:
        logits = output.joint(rows)
    else:
        assert output.joint_logits is not None
        logits = output.joint_logits if len(rows) == len(output.joint_logits) else output.joint_logits[rows]
    return rnnt_losses(logits, output.encoded.lens[rows], Seq(targets.data[rows], targets.lens[rows])).sum()
