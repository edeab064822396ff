"""Augmentation: what it says, and always the same for the same key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.core.signature import read_signature
from speechlm.features.augment import Augmenter, add_noise, add_room, power, read_noise, room
from speechlm.io.tables import write_table

RATE = 16000
WAVE = (0.1 * np.sin(np.arange(RATE) * 0.2) * np.hanning(RATE)).astype(np.float32)


@pytest.fixture
def scps(tmp_path: Path) -> dict[str, str]:
    """Noises (one short, one of another rate, one stereo) and a room whose direct sound comes after 100 samples."""
    random = np.random.default_rng(0)
    for name, count, rate in (("long", 5 * RATE, RATE), ("short", 1000, RATE), ("other", 20000, 8000)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * random.standard_normal(count), rate)
    soundfile.write(tmp_path / "stereo.wav", 0.1 * random.standard_normal((RATE, 2)), RATE)
    response = np.zeros(4000)
    response[100] = 0.5
    response[101:] = 0.02 * random.standard_normal(3899) * np.exp(-np.arange(3899) / 800)
    soundfile.write(tmp_path / "room.wav", response, RATE, subtype="FLOAT")
    names = ("long", "short", "other", "stereo")
    write_table(tmp_path / "noise.scp", {name: str(tmp_path / f"{name}.wav") for name in names})
    write_table(tmp_path / "room.scp", {"room": str(tmp_path / "room.wav")})
    return {"noise": str(tmp_path / "noise.scp"), "reverb": str(tmp_path / "room.scp")}


def test_nothing_without_options() -> None:
    plain = Augmenter()
    feats = np.ones((5, 4), np.float32)
    assert plain.wave(WAVE, RATE, "k") is WAVE and plain.features(feats, "k") is feats and not plain.changes_wave
    for option in read_signature("speechlm.features.augment:Augmenter").options:
        assert option.sentence, option.name


def test_same_key_same_change_other_key_another(scps: dict[str, str]) -> None:
    options: dict[str, Any] = {**scps, "speed": (0.9, 1.0, 1.1), "noise_share": 1.0, "freq_masks": 2, "time_masks": 2}
    feats = np.random.default_rng(1).standard_normal((200, 80)).astype(np.float32)
    one, two = Augmenter(**options), Augmenter(**options)
    two.wave(WAVE, RATE, "something before")
    keys = [f"1 utt{i} {epoch}" for i in range(6) for epoch in range(2)]
    results = []
    for key in keys:
        wave, masked = one.wave(WAVE, RATE, key), one.features(feats, key)
        np.testing.assert_array_equal(wave, two.wave(WAVE, RATE, key))
        np.testing.assert_array_equal(masked, two.features(feats, key))
        results.append((wave.tobytes(), masked.tobytes()))
    assert len({wave for wave, _ in results}) >= 10 and len({masked for _, masked in results}) == 12


def test_another_process_draws_the_same() -> None:
    code = "from speechlm.features.augment import generator; print(generator('1 utt 3').random())"
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(found) == 1


def test_speed_changes_length_and_pitch() -> None:
    augmenter = Augmenter(speed=(0.9, 1.0, 1.1))
    assert augmenter.changes_wave
    drawn = {key: augmenter.speed_factor(key) for key in map(str, range(60))}
    assert set(drawn.values()) == {0.9, 1.0, 1.1}
    for key, factor in list(drawn.items())[:8]:
        wave = augmenter.wave(WAVE, RATE, key)
        assert len(wave) == int(np.ceil(round(RATE / factor, 6)))
        peak = np.argmax(np.abs(np.fft.rfft(wave))) / len(wave)
        assert peak == pytest.approx(0.2 / (2 * np.pi) * factor, rel=0.01)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 12.5])
def test_noise_has_the_ratio_it_says(scps: dict[str, str], snr: float) -> None:
    augmenter = Augmenter(noise=scps["noise"], noise_share=1.0, snr=(snr, snr))
    for key in map(str, range(8)):
        wave = augmenter.wave(WAVE, RATE, key)
        assert wave.shape == WAVE.shape and wave.dtype == np.float32
        assert 10 * np.log10(power(WAVE) / power(wave - WAVE)) == pytest.approx(snr, abs=0.01)


def test_share_of_noise(scps: dict[str, str]) -> None:
    augmenter = Augmenter(noise=scps["noise"], noise_share=0.3)
    part = WAVE[4000:5000]
    changed = sum(not np.array_equal(augmenter.wave(part, RATE, str(i)), part) for i in range(200))
    assert 40 <= changed <= 80


def test_noise_of_any_length_fills_the_utterance(scps: dict[str, str], tmp_path: Path) -> None:
    for name in ("long", "short", "other", "stereo"):
        for seed in range(4):
            noise = read_noise(str(tmp_path / f"{name}.wav"), RATE, RATE, np.random.default_rng(seed))
            assert noise.shape == (RATE,) and power(noise[-500:]) > 0


def test_silence_stays_silence() -> None:
    silence = np.zeros(100, np.float32)
    assert add_noise(silence, WAVE[:100], 10) is silence
    assert add_noise(WAVE, silence, 10) is WAVE
    assert add_room(silence, np.ones(3, np.float32), 1) is silence


def test_room_keeps_time_length_and_energy(scps: dict[str, str], tmp_path: Path) -> None:
    (taps, peak), = room(str(tmp_path / "room.wav"), RATE)
    assert peak == 100 and np.sum(taps**2) == pytest.approx(1, abs=1e-5)
    wet = add_room(WAVE, taps, peak)
    assert wet.shape == WAVE.shape and power(wet) == pytest.approx(power(WAVE), rel=1e-4)
    click = np.zeros(2000, np.float32)
    click[500] = 1
    assert np.argmax(np.abs(add_room(click, taps, peak))) == 500
    slow = np.convolve(WAVE, taps)[peak : peak + len(WAVE)]
    np.testing.assert_allclose(wet, slow * np.sqrt(power(WAVE) / power(slow)), atol=1e-5)
    assert not np.array_equal(Augmenter(reverb=scps["reverb"], reverb_share=1.0).wave(WAVE, RATE, "k"), WAVE)


def test_silent_room_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "zero.wav", np.zeros(100), RATE)
    with pytest.raises(UserError, match=r"zero\.wav: an impulse response must be finite and not all zero"):
        room(str(tmp_path / "zero.wav"), RATE)


@given(
    st.tuples(st.integers(1, 120), st.integers(1, 80)),
    st.tuples(st.integers(0, 3), st.integers(0, 30)),
    st.tuples(st.integers(0, 3), st.integers(0, 50), st.floats(0, 1)),
)
@settings(max_examples=60, deadline=None)
def test_masks(shape: tuple[int, int], over_bins: tuple[int, int], over_frames: tuple[int, int, float]) -> None:
    """Every cell is as it was or the bin's mean; what is masked fits the limits."""
    (frames, bins), (f, width), (t, length, share) = shape, over_bins, over_frames
    feats = np.random.default_rng(frames).standard_normal(shape).astype(np.float32)
    augmenter = Augmenter(freq_masks=f, freq_width=width, time_masks=t, time_width=length, time_share=share)
    masked = augmenter.features(feats, f"{frames} {bins}")
    assert masked.shape == feats.shape and masked.dtype == np.float32
    changed = masked != feats
    np.testing.assert_array_equal(masked[changed], np.broadcast_to(feats.mean(axis=0), feats.shape)[changed])
    if frames > 1:
        assert changed.all(axis=0).sum() <= f * width or t * length >= frames
        assert changed.all(axis=1).sum() <= t * min(length, int(share * frames)) or f * width >= bins


def test_masks_reach_their_widest_and_every_place() -> None:
    augmenter = Augmenter(freq_masks=1, freq_width=3, time_masks=1, time_width=5, time_share=1.0)
    feats = np.random.default_rng(0).standard_normal((20, 10)).astype(np.float32)
    changed = [augmenter.features(feats, str(i)) != feats for i in range(400)]
    assert {int(c.all(axis=0).sum()) for c in changed} == {0, 1, 2, 3}
    assert {int(c.all(axis=1).sum()) for c in changed} == {0, 1, 2, 3, 4, 5}
    for axis in (0, 1):
        assert np.any([c.all(axis=axis) for c in changed], axis=0).all()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"speed": (3.0,)}, "speed: must lie between 0.5 and 2.0, is 3.0"),
        ({"speed": ()}, "speed needs a factor"),
        ({"snr": (20.0, 5.0)}, "snr two rising values"),
        ({"snr": (5.0,)}, "snr two rising values"),
        ({"noise_share": 1.5}, "noise_share, reverb_share, time_share: must lie"),
        ({"freq_masks": -1}, "freq_masks, time_masks: must lie"),
        ({"time_width": -1}, "freq_width, time_width: must lie"),
        ({"noise": "none.scp"}, "none.scp: no such file"),
    ],
)
def test_bad_options(options: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what):
        Augmenter(**options)


def test_empty_scp(tmp_path: Path) -> None:
    (tmp_path / "empty.scp").write_text("")
    with pytest.raises(UserError, match="no recordings in it"):
        Augmenter(reverb=str(tmp_path / "empty.scp"))
