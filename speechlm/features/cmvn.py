"""Mean and variance statistics in Kaldi's form, and their use."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.archive import ArkWriter, read_ark, read_matrix, write_matrix

VARIANCE_FLOOR = 1e-20


class CmvnStats:
    """Sums over frames: (2, D + 1) float64, the first row sum and count, the second the sum of squares and 0.

    dim: width D of the features.
    """

    def __init__(self, dim: int) -> None:
        self.sums = np.zeros((2, dim + 1), dtype=np.float64)

    @property
    def dim(self) -> int:
        """Width D of the features."""
        return self.sums.shape[1] - 1

    @property
    def count(self) -> float:
        """Number of frames."""
        return float(self.sums[0, -1])

    def accumulate(self, feats: np.ndarray) -> CmvnStats:
        """Add the frames of (T, D). Raises: UserError when the width is another one."""
        if feats.ndim != 2 or feats.shape[1] != self.dim:
            raise UserError(f"features {feats.shape} do not fit statistics of width {self.dim}; compute them again")
        frames = feats.astype(np.float64)
        self.sums[0, :-1] += frames.sum(axis=0)
        self.sums[0, -1] += len(frames)
        self.sums[1, :-1] += np.square(frames, out=frames).sum(axis=0)
        return self

    def merge(self, other: CmvnStats) -> CmvnStats:
        """Add the sums of another set (a job's share, a speaker)."""
        if other.dim != self.dim:
            raise UserError(f"statistics of width {other.dim} and {self.dim} cannot be added; compute them again")
        self.sums += other.sums
        return self

    def mean(self) -> np.ndarray:
        """(D,) float64."""
        return self.sums[0, :-1] / self.frames()

    def variance(self) -> np.ndarray:
        """(D,) float64, not less than 1e-20."""
        return np.maximum(self.sums[1, :-1] / self.frames() - self.mean() ** 2, VARIANCE_FLOOR)

    def frames(self) -> float:
        """Give the count where it is of use. Raises: UserError without frames."""
        if self.count < 1:
            raise UserError("the statistics hold no frame; compute them over a set that has features")
        return self.count

    def save(self, path: Path | str) -> None:
        """Write them as a bare matrix, as Kaldi's global statistics, atomically."""
        write_matrix(path, self.sums)

    @classmethod
    def of(cls, feats: np.ndarray) -> CmvnStats:
        """Statistics of one matrix (T, D)."""
        return cls(feats.shape[1]).accumulate(feats)

    @classmethod
    def from_sums(cls, sums: np.ndarray, place: str) -> CmvnStats:
        """Take a matrix that was read from `place`. Raises: UserError when it has not the form of statistics."""
        if sums.ndim != 2 or len(sums) != 2 or sums.shape[1] < 2:
            raise UserError(f"{place}: {sums.shape} is not the shape (2, D + 1) of statistics; compute them again")
        stats = cls(sums.shape[1] - 1)
        stats.sums[:] = sums
        return stats

    @classmethod
    def load(cls, location: Path | str) -> CmvnStats:
        """Read a bare matrix, or the one at "file.ark:offset". Raises: UserError as `io.archive.read_matrix`."""
        return cls.from_sums(read_matrix(str(location)), str(location))


def save_per_speaker(ark: Path | str, scp: Path | str | None, stats: dict[str, CmvnStats]) -> None:
    """Write statistics by speaker, in C order, as Kaldi's compute-cmvn-stats --spk2utt does."""
    with ArkWriter(ark, scp) as writer:
        for speaker in sorted(stats):
            writer.write(speaker, stats[speaker].sums)


def load_per_speaker(path: Path | str) -> dict[str, CmvnStats]:
    """Read statistics by speaker from an archive."""
    return {speaker: CmvnStats.from_sums(sums, f"{path} ({speaker})") for speaker, sums in read_ark(path)}


def apply_cmvn(feats: np.ndarray, stats: CmvnStats, norm_vars: bool = True) -> np.ndarray:
    """Shift (T, D) to mean 0 and, with norm_vars, scale to variance 1 under the statistics: (T, D) float32.

    Raises: UserError when the widths differ or the statistics hold no frame.
    """
    if feats.shape[-1] != stats.dim:
        widths = f"features have width {feats.shape[-1]}, the statistics {stats.dim}"
        raise UserError(f"{widths}; compute both with the same options")
    scale = 1 / np.sqrt(stats.variance()) if norm_vars else np.ones(stats.dim)
    # One multiplication and one addition in float32; the product of mean and scale is exact before it is rounded.
    return feats * scale.astype(np.float32) - (stats.mean() * scale).astype(np.float32)
