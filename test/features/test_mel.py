"""Windows and mel filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.features.mel import WINDOWS, bands, mel, mel_filters, window_function


@pytest.mark.parametrize("kind", WINDOWS)
def test_windows_are_symmetric(kind: str) -> None:
    window = window_function(kind, 400)
    np.testing.assert_allclose(window, window[::-1], atol=1e-12)
    assert window.max() <= 1 + 1e-12 and window.shape == (400,)


def test_mel_scale() -> None:
    assert mel(0.0) == 0 and mel(700.0) == pytest.approx(1127 * np.log(2))


@given(st.integers(3, 80), st.sampled_from([8000, 16000]))
def test_inner_lines_have_weights_of_sum_one(count: int, rate: int) -> None:
    """Triangles overlap by half: between the first and the last centre every line is shared out completely."""
    size = 256 if rate == 8000 else 512
    if count > 40 and rate == 8000:
        count = 40
    filters = mel_filters(count, size, rate, 20.0, 0.0)
    edges = np.linspace(mel(20.0), mel(rate / 2), count + 2)
    place = mel(np.arange(size // 2) * rate / size)
    inner = (place >= edges[1]) & (place <= edges[-2])
    np.testing.assert_allclose(filters.sum(axis=1)[inner], 1.0, atol=1e-9)
    assert (filters >= 0).all() and (filters.sum(axis=0) > 0).all()


@given(st.integers(3, 80), st.integers(1, 9))
def test_bands_are_the_whole_product(count: int, parts: int) -> None:
    filters = mel_filters(count, 512, 16000, 20.0, 0.0)
    power = np.random.default_rng(count).random((4, 256))
    out = np.full((4, count), np.nan)
    for lines, mels, weights in bands(filters, parts):
        assert np.isnan(out[:, mels]).all() and weights.dtype == np.float32
        out[:, mels] = power[:, lines] @ weights
    np.testing.assert_allclose(out, power @ filters, rtol=1e-5)
