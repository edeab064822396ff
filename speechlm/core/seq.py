"""A sequence that never travels without its lengths.

Legend of shapes, used in every file: B utterances, T speech steps, U text tokens, D width, V vocabulary, L layers.
Masks are called `mask`; True means real.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def mask_of(lens: Tensor, size: int) -> Tensor:
    """Make the mask (B, size) of `lens` (B,): True where the step is real."""
    return torch.arange(size, device=lens.device)[None, :] < lens[:, None]


@dataclass(frozen=True)
class Seq:
    """Padded data and the true number of steps of each row.

    data: (B, T, D) vectors, or (B, T) samples or ids; rows are padded on the right.
    lens: (B,) int64, 0 <= lens <= T.
    """

    data: Tensor
    lens: Tensor

    def __post_init__(self) -> None:
        assert self.data.dim() >= 2, f"data must be (B, T, ...), is {tuple(self.data.shape)}"
        assert self.lens.dtype == torch.int64, f"lens must be int64, is {self.lens.dtype}"
        assert self.lens.shape == self.data.shape[:1], f"{tuple(self.lens.shape)} lengths of {len(self.data)} rows"

    @property
    def mask(self) -> Tensor:
        """(B, T), True means real."""
        return mask_of(self.lens, self.data.shape[1])

    def with_data(self, data: Tensor) -> Seq:
        """Keep the lengths, change the data (the number of steps must not change)."""
        assert data.shape[:2] == self.data.shape[:2], f"{tuple(data.shape)} is not {tuple(self.data.shape[:2])}"
        return Seq(data, self.lens)

    def zero_padding(self) -> Seq:
        """Set every padded step to zero, so that what stands there can never be read by mistake."""
        mask = self.mask
        while mask.dim() < self.data.dim():
            mask = mask[..., None]
        return Seq(self.data.masked_fill(~mask, 0), self.lens)

    def to(self, device: torch.device | str) -> Seq:
        """Move both tensors."""
        return Seq(self.data.to(device), self.lens.to(device))

    def rows(self) -> list[Tensor]:
        """Split into B tensors (T_b, ...) without padding."""
        return [row[:n] for row, n in zip(self.data, self.lens.tolist(), strict=True)]

    @staticmethod
    def of(rows: list[Tensor], value: float = 0) -> Seq:
        """Pad rows (T_b, ...) on the right with `value`; the counterpart of `rows`."""
        lens = torch.tensor([len(row) for row in rows], dtype=torch.int64, device=rows[0].device)
        return Seq(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value), lens)
