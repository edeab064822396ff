"""Resampling: against torchaudio, and against the sine that it should give."""

from __future__ import annotations

import numpy as np
import pytest

from speechlm.io.resample import resample, sinc_filter

RATES = [(8000, 16000), (16000, 8000), (22050, 16000), (44100, 16000), (48000, 16000), (16000, 22050)]


def sine(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_sine_stays_a_sine(rate_in: int, rate_out: int) -> None:
    """No delay, no change of level, up to 0.85 of the lower Nyquist frequency."""
    for share in (0.02, 0.5, 0.85):
        frequency = share * min(rate_in, rate_out) / 2
        out = resample(sine(frequency, rate_in), rate_in, rate_out)
        assert out.dtype == np.float32 and len(out) == rate_out
        edge = rate_out // 50
        assert np.abs(out - sine(frequency, rate_out))[edge:-edge].max() < 1e-3


def test_nothing_folds_back() -> None:
    for frequency in (8100.0, 9000.0, 15000.0, 23000.0):
        out = resample(sine(frequency, 48000), 48000, 16000)
        assert np.abs(out[400:-400]).max() < (0.02 if frequency < 8200 else 1e-3)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_against_torchaudio(rate_in: int, rate_out: int) -> None:
    import torch
    from torchaudio.functional import resample as reference

    random = np.random.default_rng(0).standard_normal(rate_in // 2).astype(np.float32)
    smooth = np.convolve(random, np.hanning(33) / 16, "same").astype(np.float32)
    theirs = reference(
        torch.from_numpy(smooth), rate_in, rate_out, lowpass_filter_width=64, rolloff=0.95,
        resampling_method="sinc_interp_kaiser", beta=14.77,
    ).numpy()  # fmt: skip
    ours = resample(smooth, rate_in, rate_out)
    assert ours.shape == theirs.shape
    error = (ours - theirs)[200:-200]
    assert np.sqrt(np.mean(error**2)) < 0.01 * np.sqrt(np.mean(theirs**2))


def test_speed_factor() -> None:
    wave = sine(440, 16000)
    for factor in (0.9, 1.1, 1.05):
        out = resample(wave, factor, 1.0)
        assert len(out) == int(np.ceil(round(16000 / factor, 6)))
        assert np.abs(out - sine(440 * factor, 16000, len(out) / 16000))[300:-300].max() < 1e-3


def test_edges() -> None:
    wave = sine(440, 16000)
    assert resample(wave, 16000, 16000) is wave
    assert resample(wave[:0], 8000, 16000).shape == (0,)
    assert resample(wave[:1], 8000, 16000).shape == (2,)
    assert resample(np.ones(4000, np.float32), 8000, 16000)[1000:-1000] == pytest.approx(1.0, abs=1e-4)
    for bad in ((0, 16000), (16000, -1)):
        with pytest.raises(ValueError, match="rates must be positive"):
            resample(wave, *bad)
    taps = sinc_filter(2, 1)
    assert taps.sum() == pytest.approx(1.0, abs=1e-5) and (taps == taps[::-1]).all() and len(taps) % 2 == 1
