"""The light way to scipy's FFT gives the same as scipy.fft, lives beside it, and gives way when it is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from speechlm.features import fft
from speechlm.features.fft import from_extension, get_rfft, light_rfft


def test_same_as_scipy() -> None:
    frames = np.random.default_rng(0).standard_normal((7, 512)).astype(np.float32)
    light = light_rfft()
    for transform in (get_rfft(), *([light] if light else [])):
        found = transform(frames)
        assert found.dtype == np.complex64
        np.testing.assert_array_equal(found, scipy.fft.rfft(frames))


def test_both_can_be_loaded_in_either_order() -> None:
    for first, second in (("get_rfft()", "import scipy.fft"), ("import scipy.fft", "get_rfft()")):
        code = f"from speechlm.features.fft import get_rfft\n{first}\n{second}\nimport numpy, scipy.fft\n"
        code += "x = numpy.ones((2, 8), 'f'); assert (get_rfft()(x) == scipy.fft.rfft(x)).all()"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_it_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "pypocketfft.so"
    broken.write_bytes(b"no library")
    assert from_extension(broken) is None
    monkeypatch.setattr(fft, "light_rfft", lambda: None)
    get_rfft.cache_clear()
    try:
        assert get_rfft() is scipy.fft.rfft
    finally:
        get_rfft.cache_clear()
    monkeypatch.setattr(fft.importlib.util, "find_spec", lambda name: None)
    assert light_rfft() is None
