"""Windows and mel filters by Kaldi's definitions."""

from __future__ import annotations

import numpy as np

from speechlm.core.errors import UserError

WINDOWS = ("povey", "hamming", "hanning", "rectangular", "blackman", "sine")


def window_function(kind: str, size: int, blackman: float = 0.42) -> np.ndarray:
    """The window's values (size,) float64. "povey" is Kaldi's own: Hann's to the power 0.85, zero at both ends."""
    turn = 2 * np.pi * np.arange(size) / (size - 1)
    if kind == "povey":
        return (0.5 - 0.5 * np.cos(turn)) ** 0.85
    if kind == "hanning":
        return 0.5 - 0.5 * np.cos(turn)
    if kind == "hamming":
        return 0.54 - 0.46 * np.cos(turn)
    if kind == "blackman":
        return blackman - 0.5 * np.cos(turn) + (0.5 - blackman) * np.cos(2 * turn)
    if kind == "sine":
        return np.sin(turn / 2)
    if kind == "rectangular":
        return np.ones(size)
    raise UserError(f"window: unknown window {kind!r}; one of {', '.join(WINDOWS)}")


def mel(frequency: np.ndarray | float) -> np.ndarray:
    """Hz -> mel: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log(1.0 + np.asarray(frequency, dtype=np.float64) / 700.0)


def mel_filters(num_mels: int, fft_size: int, rate: float, low_freq: float, high_freq: float) -> np.ndarray:
    """Triangles that overlap by half on the mel scale: (fft_size / 2, num_mels) float64, no filter on the Nyquist bin.

    low_freq, high_freq: Hz; a high_freq of 0 or less counts from the Nyquist frequency down.

    Raises: UserError when the band is empty or a filter would catch no bin of the spectrum.
    """
    nyquist = rate / 2
    top = high_freq if high_freq > 0 else nyquist + high_freq
    if not 0 <= low_freq < top <= nyquist:
        raise UserError(f"low_freq, high_freq: need 0 <= low < high <= {nyquist:g} Hz, are {low_freq:g} and {top:g}")
    edges = np.linspace(mel(low_freq), mel(top), num_mels + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]  # (num_mels,)
    place = mel(np.arange(fft_size // 2) * (rate / fft_size))[:, None]  # (fft_size / 2, 1)
    filters = np.minimum((place - left) / (centre - left), (right - place) / (right - centre)).clip(min=0)
    empty = np.flatnonzero(filters.sum(axis=0) == 0)
    if len(empty):
        raise UserError(f"num_mels: {num_mels} are too many: bin {empty[0]} has no line of the spectrum; take fewer")
    return filters


def bands(filters: np.ndarray, parts: int = 4) -> list[tuple[slice, slice, np.ndarray]]:
    """Cut the filters into groups of neighbours and leave out the lines of the spectrum that a group does not see.

    Low filters see few lines, so the products of the groups cost about half of the whole matrix product.
    Gives (lines, mels, weights (lines, mels) float32).
    """
    groups = []
    for mels in np.array_split(np.arange(filters.shape[1]), min(parts, filters.shape[1])):
        lines = np.flatnonzero(filters[:, mels].any(axis=1))
        rows, columns = slice(lines[0], lines[-1] + 1), slice(mels[0], mels[-1] + 1)
        groups.append((rows, columns, np.ascontiguousarray(filters[rows, columns], dtype=np.float32)))
    return groups
