"""Log mel filter bank features with Kaldi's values, computed over blocks of frames that stay in the processor's cache."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.fft import rfft

from speechlm.core.errors import UserError
from speechlm.features.mel import bands, mel_filters, window_function

FLOOR = float(np.finfo(np.float32).eps)
SCALE = 32768.0  # Kaldi's samples are 16-bit integers
BLOCK = 64  # frames at a time: samples and spectra of a block fit into the second-level cache


class Fbank:
    """Waveform (N,) in [-1, 1] -> log mel energies (T, dim), equal to Kaldi's compute-fbank-feats.

    A frame is freed of its mean, pre-emphasised, windowed, zero-padded to a power of two; the filters act on its power
    spectrum. One object may be used for any number of waveforms; it is not safe to share between threads.

    Options:
        rate: sampling rate in Hz.
        num_mels: number of mel bins.
        frame_length: window in ms.
        frame_shift: step in ms.
        low_freq: lower edge of the lowest filter in Hz.
        high_freq: upper edge of the highest filter in Hz; 0 or less counts from the Nyquist frequency down.
        window: povey, hamming, hanning, rectangular, blackman or sine.
        preemphasis: share of the previous sample that is taken off, 0 to 1.
        dither: standard deviation of noise added to the 16-bit samples; the same audio always gets the same noise.
        snip_edges: true keeps only frames that lie wholly in the audio; false has round(N / shift) frames, mirrored at the ends.
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
        self.rate, self.dither, self.snip_edges, self.use_power = rate, dither, snip_edges, use_power
        self.use_energy, self.raw_energy, self.energy_floor = use_energy, raw_energy, energy_floor
        self.length, self.shift = int(rate * 0.001 * frame_length), int(rate * 0.001 * frame_shift)
        if self.length < 2 or self.shift < 1:
            raise UserError(f"frame_length, frame_shift: {frame_length} and {frame_shift} ms are too short at {rate} Hz")
        if not 0 <= preemphasis <= 1:
            raise UserError(f"preemphasis: must lie between 0 and 1, is {preemphasis}")
        if num_mels < 3:
            raise UserError(f"num_mels: must be at least 3, is {num_mels}")
        self.preemphasis, self.remove_dc_offset = np.float32(preemphasis), remove_dc_offset
        self.fft_size = 1 << (self.length - 1).bit_length()
        self.window = window_function(window, self.length).astype(np.float32)
        self.groups = bands(mel_filters(num_mels, self.fft_size, rate, low_freq, high_freq))
        self.dim = num_mels + int(use_energy)
        self.energy_column = (num_mels if htk_compat else 0) if use_energy else None
        first = 1 if use_energy and not htk_compat else 0
        self.mels = slice(first, first + num_mels)
        self.frames = np.zeros((BLOCK, self.fft_size), dtype=np.float32)  # the zero padding on the right stays
        self.power = np.empty((BLOCK, self.fft_size // 2), dtype=np.float32)
        self.spare = np.empty((BLOCK, self.fft_size // 2), dtype=np.float32)

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
        if not count:
            return out
        wave = self.extend(np.asarray(samples, dtype=np.float32) * np.float32(SCALE), count)
        steps = np.lib.stride_tricks.sliding_window_view(wave, self.length)[:: self.shift][:count]  # (T, length), no copy
        for part, frames in self.windowed(wave, steps):
            self.filter(frames, out[part, self.mels])
            if self.energy_column is not None:
                self.energy(steps[part] if self.raw_energy else frames, out[part, self.energy_column])
        np.maximum(out, FLOOR, out=out)
        np.log(out, out=out)
        return out

    def extend(self, wave: np.ndarray, count: int) -> np.ndarray:
        """Make the samples that `count` frames need: dither added, and without snip_edges mirrored at both ends."""
        if self.dither:
            noise = np.random.default_rng(zlib.crc32(wave.tobytes())).standard_normal(len(wave), dtype=np.float32)
            wave = wave + np.float32(self.dither) * noise
        if self.snip_edges:
            return wave
        before = self.length // 2 - self.shift // 2
        after = (count - 1) * self.shift + self.length - before - len(wave)
        return np.pad(wave, (before, max(after, 0)), mode="symmetric")

    def windowed(self, wave: np.ndarray, steps: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Give blocks of windowed frames, (slice of frames, (b, fft_size)); the array is used again for the next block.

        Mean and pre-emphasis are linear: the pre-emphasis runs once over the wave instead of over each overlapping
        frame, and what is left of a frame's mean after it, (1 - p) mean, is taken off the frame.
        """
        rest = np.float32(1) - self.preemphasis
        emphasised = wave.copy()
        emphasised[1:] -= self.preemphasis * wave[:-1]
        smooth = np.lib.stride_tricks.sliding_window_view(emphasised, self.length)[:: self.shift]
        for start in range(0, len(steps), BLOCK):
            block = steps[start : start + BLOCK]
            frames = self.frames[: len(block)]
            inner = frames[:, : self.length]
            mean = self.mean(block)
            np.subtract(smooth[start : start + len(block)], mean * rest, out=inner)
            inner[:, 0] = (block[:, 0] - mean[:, 0]) * rest  # a frame's first sample is its own predecessor
            inner *= self.window
            yield slice(start, start + len(block)), frames

    def mean(self, block: np.ndarray) -> np.ndarray:
        """What is taken off each frame: (b, 1)."""
        if self.remove_dc_offset:
            return block.mean(axis=1, keepdims=True)
        return np.zeros((len(block), 1), dtype=np.float32)

    def filter(self, frames: np.ndarray, out: np.ndarray) -> None:
        """Apply the mel filters to the spectrum of windowed frames (b, fft_size) -> out (b, num_mels)."""
        spectrum = rfft(frames)[:, :-1]  # (b, fft_size / 2): no filter sees the Nyquist line
        power, spare = self.power[: len(frames)], self.spare[: len(frames)]
        np.multiply(spectrum.real, spectrum.real, out=power)
        np.multiply(spectrum.imag, spectrum.imag, out=spare)
        power += spare
        if not self.use_power:
            np.sqrt(power, out=power)
        for lines, mels, weights in self.groups:
            np.matmul(power[:, lines], weights, out=out[:, mels])

    def energy(self, frames: np.ndarray, out: np.ndarray) -> None:
        """Write the energy of frames (b, length), freed of their mean -> out (b,)."""
        if self.raw_energy:
            frames = frames - self.mean(frames)
        np.einsum("ij,ij->i", frames, frames, out=out)
        np.maximum(out, np.float32(self.energy_floor), out=out)
