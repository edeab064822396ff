"""Log mel filter bank features with Kaldi's values, computed over blocks of frames that stay in the cache."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from speechlm.core.errors import UserError
from speechlm.features.fft import get_rfft
from speechlm.features.mel import bands, mel_filters, window_function

FLOOR = float(np.finfo(np.float32).eps)
SCALE = 32768.0  # Kaldi's samples are 16-bit integers
BLOCK = 96  # frames at a time: samples and spectra of a block stay in the second-level cache


class Fbank:
    """Waveform (N,) in [-1, 1] -> log mel energies (T, dim), equal to Kaldi's compute-fbank-feats.

    A frame is freed of its mean, pre-emphasised, windowed, zero-padded to a power of two; the filters act on its power
    spectrum. One object may be used for any number of waveforms; it is not safe to share between threads.

    Options:
        rate: sampling rate in Hz that audio is brought to.
        num_mels: number of mel bins.
        frame_length: window in ms.
        frame_shift: step in ms.
        low_freq: lower edge of the lowest filter in Hz.
        high_freq: upper edge of the highest filter in Hz; 0 or less counts from the Nyquist frequency down.
        window: povey, hamming, hanning, rectangular, blackman or sine.
        preemphasis: share of the previous sample that is taken off, 0 to 1.
        dither: standard deviation of noise added to the 16-bit samples; the same audio always gets the same noise.
        snip_edges: true keeps only frames that lie wholly in the audio; false gives round(N / shift) frames and
            mirrors the audio at its ends.
        use_energy: true adds the log energy of the frame as one more column.
        htk_compat: true puts that energy last, false first.
        raw_energy: true takes the energy before pre-emphasis and window.
        energy_floor: least energy of a frame (of 16-bit samples), 0 for none but the smallest positive float.
        use_power: false takes the magnitude spectrum instead of the power spectrum.
        remove_dc_offset: false leaves the mean of a frame in it.
    """

    def __init__(
        self,
        *,
        rate: int = 16000,
        num_mels: int = 80,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        low_freq: float = 20.0,
        high_freq: float = 0.0,
        window: Literal["povey", "hamming", "hanning", "rectangular", "blackman", "sine"] = "povey",
        preemphasis: float = 0.97,
        dither: float = 0.0,
        snip_edges: bool = True,
        use_energy: bool = False,
        htk_compat: bool = False,
        raw_energy: bool = True,
        energy_floor: float = 0.0,
        use_power: bool = True,
        remove_dc_offset: bool = True,
    ) -> None:
        self.options = {name: value for name, value in locals().items() if name != "self"}
        self.rate, self.dither, self.snip_edges, self.use_power = rate, dither, snip_edges, use_power
        self.use_energy, self.raw_energy, self.energy_floor = use_energy, raw_energy, energy_floor
        self.length, self.shift = int(rate * 0.001 * frame_length), int(rate * 0.001 * frame_shift)
        if self.length < 2 or self.shift < 1:
            raise UserError(f"frame_length {frame_length}, frame_shift {frame_shift} ms: too short at {rate} Hz")
        if not 0 <= preemphasis <= 1:
            raise UserError(f"preemphasis: must lie between 0 and 1, is {preemphasis}")
        if num_mels < 3:
            raise UserError(f"num_mels: must be at least 3, is {num_mels}")
        self.preemphasis, self.remove_dc_offset = np.float32(preemphasis), remove_dc_offset
        self.fft_size = 1 << (self.length - 1).bit_length()
        self.window = (SCALE * window_function(window, self.length)).astype(np.float32)
        self.groups = bands(mel_filters(num_mels, self.fft_size, rate, low_freq, high_freq))
        self.drift = twiddle_drift(self.fft_size)
        self.dim = num_mels + int(use_energy)
        self.energy_column = (num_mels if htk_compat else 0) if use_energy else None
        first = 1 if use_energy and not htk_compat else 0
        self.mels = slice(first, first + num_mels)
        self.allocate()

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Fbank], tuple[dict[str, Any]]]:
        """Copy by options: copied arrays would no longer be views into each other."""
        return from_options, (self.options,)

    def allocate(self) -> None:
        """Make the arrays that every block uses again: new memory for each would cost more than the arithmetic."""
        size = (BLOCK - 1) * self.shift + self.length
        self.smooth = np.zeros(size, np.float32)
        # Frames are views into the samples, (BLOCK, length), and into the sums of pieces that fit into every frame.
        self.smooth_frames = sliding_window_view(self.smooth, self.length)[:: self.shift]
        self.piece = math.gcd(self.length, self.shift)
        self.sums = np.zeros(size // self.piece, np.float32)
        self.sum_frames = sliding_window_view(self.sums, self.length // self.piece)[:: self.shift // self.piece]
        self.frames = np.zeros((BLOCK, self.fft_size), np.float32)  # its right part stays zero: the padding
        self.squares = np.empty((BLOCK, self.fft_size + 2), np.float32)
        self.power = np.empty((BLOCK, self.fft_size // 2 + 1), np.float32)
        self.leak = np.empty((BLOCK, self.fft_size // 4), np.complex64)

    @property
    def seconds_per_frame(self) -> float:
        """Seconds from one frame to the next."""
        return self.shift / self.rate

    def num_frames(self, num_samples: int) -> int:
        """Number of frames of so many samples; 0 where the audio is shorter than one window (with snip_edges)."""
        if not self.snip_edges:
            return (num_samples + self.shift // 2) // self.shift
        return 0 if num_samples < self.length else 1 + (num_samples - self.length) // self.shift

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Compute (T, dim) float32 of a waveform (N,) in [-1, 1] at `rate`; T may be 0."""
        count = self.num_frames(len(samples))
        out = np.empty((count, self.dim), dtype=np.float32)
        wave = self.extend(np.asarray(samples, dtype=np.float32), count)
        for start in range(0, count, BLOCK):
            part = out[start : start + BLOCK]
            first = start * self.shift
            self.block(wave[first : first + (len(part) - 1) * self.shift + self.length], part)
        return out

    def extend(self, wave: np.ndarray, count: int) -> np.ndarray:
        """Make the samples that `count` frames need: dither added, and without snip_edges mirrored at both ends."""
        if self.dither:
            noise = np.random.default_rng(zlib.crc32(wave.tobytes())).standard_normal(len(wave), dtype=np.float32)
            wave = wave + np.float32(self.dither / SCALE) * noise
        if self.snip_edges or not count:
            return wave
        before = self.length // 2 - self.shift // 2
        after = (count - 1) * self.shift + self.length - before - len(wave)
        return np.pad(wave, (max(before, 0), max(after, 0)), mode="symmetric")[max(-before, 0) :]

    def block(self, wave: np.ndarray, out: np.ndarray) -> None:
        """Compute the features of the b <= BLOCK frames in `wave` -> out (b, dim)."""
        means = self.means(wave, len(out))
        frames = self.windowed(wave, means)
        self.filter(frames, out[:, self.mels])
        if self.energy_column is not None:
            if self.raw_energy:
                frames = (sliding_window_view(wave, self.length)[:: self.shift] - means) * np.float32(SCALE)
            energy = np.einsum("ij,ij->i", frames, frames)
            np.maximum(energy, np.float32(self.energy_floor), out=out[:, self.energy_column])
        np.maximum(out, FLOOR, out=out)
        np.log(out, out=out)

    def means(self, wave: np.ndarray, count: int) -> np.ndarray:
        """The mean of each frame (b, 1): from sums of pieces, so that a sample is added once and not in each frame."""
        if not self.remove_dc_offset:
            return np.zeros((count, 1), np.float32)
        np.add.reduce(wave.reshape(-1, self.piece), axis=1, out=self.sums[: len(wave) // self.piece])
        return np.add.reduce(self.sum_frames[:count], axis=1, keepdims=True) / np.float32(self.length)

    def windowed(self, wave: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Cut `wave` into windowed frames (b, fft_size), which the next block overwrites.

        Mean and pre-emphasis are linear: the pre-emphasis runs once over the samples instead of over each overlapping
        frame, and what is left of a frame's mean after it, (1 - p) mean, is taken off the frame.
        """
        rest, smooth = np.float32(1) - self.preemphasis, self.smooth[1 : len(wave)]
        np.multiply(wave[:-1], -self.preemphasis, out=smooth)
        smooth += wave[1:]
        frames = self.frames[: len(means)]
        inner = frames[:, : self.length]
        np.subtract(self.smooth_frames[: len(means)], means * rest, out=inner)
        if self.window[0]:  # a frame's first sample is its own predecessor
            inner[:, 0] = (wave[: (len(means) - 1) * self.shift + 1 : self.shift] - means[:, 0]) * rest
        inner *= self.window
        return frames

    def filter(self, frames: np.ndarray, out: np.ndarray) -> None:
        """Apply the mel filters to the spectrum of windowed frames (b, fft_size) -> out (b, num_mels)."""
        spectrum = get_rfft()(frames)  # (b, fft_size / 2 + 1) complex64
        parts = spectrum.view(np.float32)  # real and imaginary parts in turn
        squares, power = self.squares[: len(frames)], self.power[: len(frames)]
        np.multiply(parts, parts, out=squares)
        self.follow_kaldi(spectrum, squares)
        np.add(squares[:, 0::2], squares[:, 1::2], out=power)
        if not self.use_power:
            np.sqrt(np.maximum(power, 0, out=power), out=power)
        for lines, mels, weights in self.groups:
            np.matmul(power[:, lines], weights, out=out[:, mels])

    def follow_kaldi(self, spectrum: np.ndarray, squares: np.ndarray) -> None:
        """Change the squares of real and imaginary parts by what Kaldi's rounding leaks from line k into N / 2 - k.

        About 1e-6 of the amplitude: nothing to hear, but up to 0.015 in the log energy of a bin 80 dB under the loudest
        one of its frame, and features are to equal Kaldi's to the third digit. Only the upper half of the lines is
        changed: it is there that speech is so much weaker than at the mirrored lines.
        """
        half, leak = self.fft_size // 4, self.leak[: len(spectrum)]
        np.multiply(spectrum[:, half : 2 * half], spectrum[:, half:0:-1], out=leak)
        parts = leak.view(np.float32)
        parts *= self.drift
        squares[:, 2 * half : 4 * half] -= parts


def from_options(options: dict[str, Any]) -> Fbank:
    """Make the features that these options describe."""
    return Fbank(**options)


def twiddle_drift(fft_size: int) -> np.ndarray:
    """How far the twiddle factors of Kaldi's real FFT are too long: (N / 2,), lines N / 4 to N / 2 - 1, a 0 after each.

    Kaldi gets w^k = exp(-2 pi i k / N) up to k = N / 4 by multiplying k times with w in 32 bits; rounding makes the
    products longer. In X[k] = E[k] + w^k O[k], with E and O of the even and the odd samples, O[k] = (X[k] - conj
    X[N/2 - k]) / 2 w^k: a factor too long by d adds d / 2 (X[k] - conj X[N/2 - k]), so the power changes by
    -d Re(X[k] X[N/2 - k]), besides d |X[k]|^2, which is below the precision. Line N / 2 - k has the same d. The zeros
    leave the imaginary part of the product out.
    """
    step = np.exp(-2j * np.pi / fft_size)
    real, imag = np.float32(step.real), np.float32(step.imag)
    x, y = np.float32(1), np.float32(0)
    drift = []
    for _ in range(fft_size // 4):
        x, y = x * real - y * imag, x * imag + y * real
        drift.append(np.hypot(np.float64(x), np.float64(y)) - 1)
    return np.stack([drift[::-1], np.zeros(len(drift))], axis=1).ravel().astype(np.float32)
