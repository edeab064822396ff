"""Distance between regressed representations and those of text teachers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq


class Teach(Protocol):
    """Says, for a batch, what each representation should be and where: K pairs (positions, values).

    positions: (B, W) int64, index of the unit at which the word ends. values: (B, W, D) the teacher's vectors.
    """

    notes: dict[str, float]

    def __call__(self, batch: Batch) -> list[tuple[Seq, Seq]]:
        """Give the K pairs."""


class DistillLoss(nn.Module):
    """Mean distance over the words of a batch and over the K representations, in fp32.

    arXiv 2309.04031: several layers, contexts and models teach at once; the mean over K keeps the loss's weight in its
    meaning when K changes. Teachers' layers differ in scale, so each vector goes through a LayerNorm without
    parameters first; otherwise layers with outliers own the loss. For training only.

    Sum and count are those of one representation, averaged over the K (two teachers may know different words). The
    teachers' notes (coverage of the word alignment) are passed on.

    teach: gives the teachers' vectors, see `speechlm.llms.teacher`.
    heads: regress the K representations from the speech and the states before each unit; without them the model's own
        `representations` are taken. They are parameters of the loss, not of the model: what decodes never sees them.

    Options:
        distance: l1 or mse (means over the width), or cos for one minus the cosine.
        normalise: apply LayerNorm without parameters to the teacher's vectors.
    """

    def __init__(
        self,
        teach: Teach,
        heads: Sequence[nn.Module] = (),
        *,
        distance: Literal["l1", "mse", "cos"] = "l1",
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        if distance not in ("l1", "mse", "cos"):
            raise ValueError(f"loss distill: distance must be l1, mse or cos, is {distance!r}")
        self.teach, self.distance, self.normalise = teach, distance, normalise

    def forward(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give (sum over words, number of words); ValueError if the model regresses no or another number of vectors."""
        if len(self.heads):
            output.representations = self._regressed(output)
        if not output.representations:
            raise ValueError("loss distill: the model gives no representations; it needs regression heads")
        taught = self.teach(batch)
        if len(taught) != len(output.representations):
            raise ValueError(
                f"loss distill: teachers give {len(taught)} representations, the model {len(output.representations)}"
            )
        output.notes.update(self.teach.notes)
        pairs = list(zip(output.representations, taught, strict=True))
        total = torch.stack([self._distances(student, *wanted).sum() for student, wanted in pairs]).mean()
        count = torch.stack([positions.lens.sum() for positions, _ in taught]).float().mean()
        return total, count

    def _regressed(self, output: Output) -> list[Seq]:
        if output.encoded is None or output.unit_states is None:
            raise ValueError("loss distill: the model gives no unit_states; it needs model transducer")
        return [head(output.encoded, output.unit_states) for head in self.heads]

    def _distances(self, student: Seq, positions: Seq, values: Seq) -> Tensor:
        """Distance of each word (N,)."""
        index = positions.zero_padding().data
        if index.numel() and int(index.max()) >= student.data.shape[1]:
            raise ValueError(
                f"loss distill: a word ends at unit {int(index.max())}, the model has {student.data.shape[1]}"
            )
        wide = torch.promote_types(student.data.dtype, torch.float32)
        picked = student.data.gather(1, index[..., None].expand(-1, -1, student.data.shape[-1]))[positions.mask].to(
            wide
        )
        wanted = values.data[positions.mask].detach().to(wide)
        if self.normalise:
            wanted = F.layer_norm(wanted, wanted.shape[-1:])
        if self.distance == "cos":
            return 1 - F.cosine_similarity(picked, wanted, dim=-1)
        error = picked - wanted
        return (error.abs() if self.distance == "l1" else error.square()).mean(-1)
