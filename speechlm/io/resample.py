"""Change the sampling rate of a waveform (also used to change speed), by a polyphase windowed-sinc filter."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

ZEROS = 32  # zero crossings of the sinc on each side: a transition band of about 6 % of the lower Nyquist frequency
ROLLOFF = 0.95  # cut-off as a share of the lower Nyquist frequency
BETA = 9.0  # Kaiser window: about 90 dB below the pass band


def resample(samples: np.ndarray, rate_in: float, rate_out: float) -> np.ndarray:
    """Resample (N,) float32 from `rate_in` to `rate_out` Hz -> (ceil(N * rate_out / rate_in),) float32.

    No delay: sample i of the output lies at time i / rate_out. Frequencies above 0.95 of the lower Nyquist frequency
    are removed. Rates are positive; a ratio is taken as the nearest fraction with at most 1000 in its denominator
    (exact for all usual rates).
    """
    if rate_in == rate_out:
        return np.asarray(samples, dtype=np.float32)
    if not (rate_in > 0 and rate_out > 0):
        raise ValueError(f"rates must be positive, are {rate_in} and {rate_out}")
    ratio = Fraction(rate_out / rate_in).limit_denominator(1000)
    if ratio == 1 or len(samples) == 0:
        return np.asarray(samples, dtype=np.float32)
    from scipy.signal import resample_poly  # a second to import, so only where a rate really differs

    up, down = ratio.numerator, ratio.denominator
    wave = resample_poly(np.asarray(samples, dtype=np.float32), up, down, window=sinc_filter(up, down))
    return wave.astype(np.float32)


@lru_cache(maxsize=16)
def sinc_filter(up: int, down: int) -> np.ndarray:
    """The low-pass filter at `up` times the input rate: an odd number of taps, sum 1; scipy multiplies them by `up`."""
    widest = max(up, down)
    half = int(np.ceil(ZEROS * widest / ROLLOFF))
    time = np.arange(-half, half + 1)
    taps = np.sinc(time * (ROLLOFF / widest)) * np.kaiser(2 * half + 1, BETA)
    return (taps / taps.sum()).astype(np.float32)
