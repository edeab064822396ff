"""Parts behind each other are the recording bit for bit, none is too long, cuts lie in pauses, memory is bounded."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.features.vad import Part, frame_energy, split
from speechlm.io.blocks import audio_blocks
from test.paths import shared

RATE = 1000


def pieces(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Cut samples into blocks of these sizes, over and over."""
    found, start = [], 0
    while start < len(samples):
        size = sizes[len(found) % len(sizes)]
        found.append(samples[start : start + size])
        start += size
    return found


@settings(max_examples=200)
@given(
    length=st.integers(0, 40_000),
    rate=st.sampled_from([500, 1000, 2205, 8000]),
    most=st.floats(1, 12),
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=3),
    seed=st.integers(0, 9),
    zeros=st.booleans(),
)
def test_parts_are_the_whole(length: int, rate: int, most: float, sizes: list[int], seed: int, zeros: bool) -> None:
    random = np.random.default_rng(seed)
    samples = random.standard_normal(length).astype(np.float32)
    samples *= 0 if zeros else np.repeat(random.random(length // 50 + 1) ** 4, 50)[:length].astype(np.float32)
    parts = list(split(pieces(samples, sizes), rate, most))
    assert b"".join(part.samples.tobytes() for part in parts) == samples.tobytes()
    assert [part.start for part in parts] == [0, *[part.end for part in parts[:-1]]][: len(parts)]
    assert all(0 < len(part.samples) <= most * rate for part in parts)
    if len(parts) > 1:
        assert min(len(part.samples) for part in parts) >= min(1.0, most / 2.5) * rate * 0.9
    again = list(split([samples], rate, most))
    assert [(part.start, part.end, part.depth) for part in parts] == [(p.start, p.end, p.depth) for p in again]


def test_cuts_lie_in_the_middle_of_pauses_and_say_how_quiet_it_is() -> None:
    random = np.random.default_rng(0)
    samples = (0.3 * random.standard_normal(30 * RATE)).astype(np.float32)
    pauses = [(6.0, 6.6), (13.2, 14.4), (19.0, 19.4), (24.0, 25.0)]
    for start, end in pauses:
        samples[int(start * RATE) : int(end * RATE)] *= 0.001
    parts = list(split([samples], RATE, 8.0))
    cuts = [part.end / RATE for part in parts[:-1]]
    assert len(cuts) == 4
    for cut, (start, end) in zip(cuts, pauses, strict=True):
        assert start + 0.14 <= cut <= end - 0.14, f"{cut} is not inside {start}-{end}"
    assert all(40 < part.depth < 70 and not part.in_speech for part in parts[:-1])
    assert parts[-1].depth == float("inf")
    steady = (0.1 * np.sin(np.arange(30 * RATE))).astype(np.float32)  # no pause anywhere: that is told
    assert {part.in_speech for part in [*split([steady], RATE, 8.0)][:-1]} == {True}


def test_a_pause_is_chosen_over_a_shorter_quieter_closure_and_an_offset_is_no_sound() -> None:
    samples = np.random.default_rng(1).standard_normal(9 * RATE).astype(np.float32)
    samples[4000:4030] = 0
    samples[5000:5600] *= 0.02
    first = next(split([samples + 7], RATE, 8.0))
    assert 5150 <= first.end <= 5450


def test_digital_silence_is_cut_in_its_middle() -> None:
    samples = np.ones(10 * RATE, dtype=np.float32) * np.tile([1, -1], 5 * RATE).astype(np.float32)
    samples[5000:7000] = 0
    assert abs(next(split([samples], RATE, 8.0)).end - 6000) <= 20


def test_energy_is_the_variance_of_each_frame() -> None:
    samples = np.random.default_rng(2).standard_normal(1005).astype(np.float32)
    expected = [np.mean((row - row.mean()) ** 2) for row in samples[:1000].astype(np.float64).reshape(-1, 10)]
    np.testing.assert_allclose(frame_energy(samples, 10), expected, rtol=1e-6)


@pytest.mark.parametrize("most", [0.5, -1, float("nan"), float("inf")])
def test_a_wrong_limit_is_told(most: float) -> None:
    with pytest.raises(UserError, match="--max_seconds: must be a number from 1 up"):
        list(split([], RATE, most))


def write_hour(path: Path, rate: int) -> int:
    """Write an hour of speech-like bursts; give its number of samples."""
    random = np.random.default_rng(3)
    second = (8000 * random.standard_normal(rate)).astype(np.int16)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for number in range(3600):
            burst = second.copy()
            burst[: rate * (number % 5) // 10] //= 200
            file.write(burst)
    return 3600 * rate


@pytest.mark.parametrize("rate", [8000, 16000])
def test_an_hour_is_cut_in_bounded_memory(rate: int, tmp_path: Path) -> None:
    total = write_hour(tmp_path / "hour.wav", rate)
    longest, end, count = 0, 0, 0
    tracemalloc.start()
    try:
        with audio_blocks(str(tmp_path / "hour.wav")) as (found, blocks):
            assert found == rate
            part: Part
            for part in split(blocks, rate):
                assert part.start == end and not part.in_speech
                longest, end, count = max(longest, len(part.samples)), part.end, count + 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert end == total and longest <= 30 * rate and 120 <= count <= 250
    # 30 s of float32, again while a block is joined, and a block in float64; the hour itself would be 4 * total.
    assert peak < 20 * 30 * rate < 4 * total / 20, f"{peak} bytes"


def test_real_digits_are_not_cut() -> None:
    """Spoken digits, a quarter of a second apart: no cut lies between the first and the last loud 10 ms of one."""
    files = sorted(shared("data/en_fsdd_8k").rglob("*.wav"))[::7][:120]
    noise = np.random.default_rng(4)
    rows, words, length = [], [], 0
    for path in files:
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == 8000
        gap = (1e-3 * noise.standard_normal(rate // 4)).astype(np.float32)
        rows += [samples, gap]
        power = (samples[: len(samples) // 80 * 80].reshape(-1, 80) ** 2).mean(axis=1)
        loud = np.flatnonzero(power > power.max() / 1000)  # within 30 dB of the loudest: recordings end in silence
        words.append((length + 80 * loud[0], length + 80 * (loud[-1] + 1)))
        length += len(samples) + len(gap)
    for most in (4.0, 8.0):
        cuts = [part.end for part in split([np.concatenate(rows)], 8000, most)][:-1]
        assert len(cuts) >= length / 8000 / most
        wrong = [cut for cut in cuts if any(start < cut < end for start, end in words)]
        assert not wrong, f"{len(wrong)} of {len(cuts)} cuts lie in words"
