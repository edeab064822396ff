"""scipy's real FFT without the rest of `scipy.fft`, whose import takes as long as ten minutes of speech."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path

import numpy as np

Transform = Callable[[np.ndarray], np.ndarray]


def light_rfft() -> Transform | None:
    """Load only the compiled part of scipy.fft; None where this version of scipy keeps it elsewhere.

    It is no public part of scipy, so it is used only when it transforms an example as numpy does.
    """
    scipy = importlib.util.find_spec("scipy")
    if scipy is None or not scipy.submodule_search_locations:
        return None
    for suffix in EXTENSION_SUFFIXES:
        path = Path(scipy.submodule_search_locations[0], "fft", "_pocketfft", f"pypocketfft{suffix}")
        if path.exists():
            return from_extension(path)
    return None


def from_extension(path: Path) -> Transform | None:
    """Make the transform from the extension module at `path`, or None when it is not what we know."""
    loader = ExtensionFileLoader("pypocketfft", str(path))
    spec = importlib.util.spec_from_loader("pypocketfft", loader)
    if spec is None:
        return None
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        r2c = module.r2c

        def rfft(frames: np.ndarray) -> np.ndarray:
            return r2c(frames, (1,), True, 0, None, 1)  # axes, forward, no scale, new output, one thread

        example = np.arange(16, dtype=np.float32).reshape(2, 8) ** 2
        found = rfft(example)
        good = found.dtype == np.complex64 and np.allclose(found, np.fft.rfft(example), rtol=1e-4)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError):
        return None
    return rfft if good else None


@cache
def get_rfft() -> Transform:
    """Give the transform of the rows (b, n) float32 -> (b, n / 2 + 1) complex64."""
    light = light_rfft()
    if light is not None:
        return light
    from scipy.fft import rfft

    return rfft
