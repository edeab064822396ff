"""Kaldi's filter bank features frame by frame in 64 bits: the obvious way, as an oracle for the fast one."""

from __future__ import annotations

import numpy as np

from speechlm.features.mel import mel_filters, window_function


def slow_fbank(
    samples: np.ndarray, *, rate: int = 16000, num_mels: int = 80, window: str = "povey", snip_edges: bool = True,
    low_freq: float = 20.0, high_freq: float = 0.0, preemphasis: float = 0.97, use_power: bool = True,
    remove_dc_offset: bool = True, energy: str = "", energy_floor: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """energy: "" without, "raw" or "windowed" as the first column."""
    length, shift = rate * 25 // 1000, rate * 10 // 1000
    size = 1 << (length - 1).bit_length()
    filters = mel_filters(num_mels, size, rate, low_freq, high_freq)
    wave = samples.astype(np.float64) * 32768
    if snip_edges:
        starts = range(0, len(wave) - length + 1, shift)
    else:
        starts = [shift * t + shift // 2 - length // 2 for t in range((len(wave) + shift // 2) // shift)]
    rows = []
    for start in starts:
        places = np.arange(start, start + length)
        while (places < 0).any() or (places >= len(wave)).any():
            places = np.where(places < 0, -places - 1, places)
            places = np.where(places >= len(wave), 2 * len(wave) - 1 - places, places)
        frame = wave[places]
        if remove_dc_offset:
            frame = frame - frame.mean()
        raw = float(frame @ frame)
        frame = frame - preemphasis * np.concatenate([frame[:1], frame[:-1]])
        frame = frame * window_function(window, length)
        spectrum = np.abs(np.fft.rfft(frame, size))[:-1]
        row = (spectrum**2 if use_power else spectrum) @ filters
        if energy:
            row = np.concatenate([[max(raw if energy == "raw" else float(frame @ frame), energy_floor)], row])
        rows.append(np.log(np.maximum(row, np.finfo(np.float32).eps)))
    return np.array(rows).reshape(len(rows), num_mels + bool(energy))
