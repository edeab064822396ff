"""Filter bank features: Kaldi's own files, kaldi-native-fbank and a slow 64-bit version are the oracles."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.core.signature import read_signature
from speechlm.features.fbank import BLOCK, Fbank, twiddle_drift
from speechlm.io.archive import read_ark
from test.paths import shared
from test.reference.fbank import slow_fbank

PACKS = {
    "S0724-BAC009S0724W0121": "zh_aishell1",
    "cvja38833628": "ja_commonvoice",
    "cvzh18531674": "zh_commonvoice",
    "jfk-1961": "en_jfk",
}
FILES = [
    ("fbank80", {}),
    ("fbank80_nosnip", {"snip_edges": False}),
    ("fbank40_energy_hamming", {"num_mels": 40, "use_energy": True, "window": "hamming"}),
    ("fbank80_low80_high-400", {"low_freq": 80.0, "high_freq": -400.0}),
    ("fbank40_8k", {"rate": 8000, "num_mels": 40}),
]


def recording(key: str) -> np.ndarray:
    if key in PACKS:
        path = shared(f"data/mixed_sentences/audio/{PACKS[key]}/{key}.flac")
        return soundfile.read(path, dtype="float32")[0][:48000]
    return soundfile.read(next(shared("data/en_fsdd_8k").glob(f"**/{key}.wav")), dtype="float32")[0]


def noise(count: int, seed: int = 0, scale: float = 0.1) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize(("name", "options"), FILES)
def test_equal_to_kaldi(name: str, options: dict[str, Any]) -> None:
    """Within 1e-3, absolute or relative, everywhere; within 1e-3 absolute but for a few cells in a thousand.

    Kaldi computes its spectra in 32 bits with an error that grows over the lines: in bins 60 dB and more under the
    loudest one of their frame its own values are up to 0.015 beside the exact ones.
    """
    found = dict(read_ark(shared(f"oracle/kaldi/{name}.ark")))
    fbank = Fbank(**options)
    for key, theirs in found.items():
        ours = fbank(recording(key))
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        error = np.abs(ours - theirs)
        assert (error < 1e-3 + 1e-3 * np.abs(theirs)).all(), (key, error.max())
        assert (error > 1e-3).mean() < 1e-3 and error.mean() < 1e-4
        loud = theirs > theirs.max(axis=1, keepdims=True) - 14
        assert error[loud].max() < 1e-3, key


def native(samples: np.ndarray, **options: Any) -> np.ndarray:
    opts = knf.FbankOptions()
    opts.frame_opts.dither = 0
    opts.frame_opts.samp_freq = options.get("rate", 16000)
    opts.frame_opts.window_type = options.get("window", "povey")
    opts.frame_opts.snip_edges = options.get("snip_edges", True)
    opts.frame_opts.preemph_coeff = options.get("preemphasis", 0.97)
    opts.frame_opts.frame_length_ms = options.get("frame_length", 25.0)
    opts.frame_opts.frame_shift_ms = options.get("frame_shift", 10.0)
    opts.frame_opts.remove_dc_offset = options.get("remove_dc_offset", True)
    opts.mel_opts.num_bins = options.get("num_mels", 80)
    opts.mel_opts.low_freq = options.get("low_freq", 20.0)
    opts.mel_opts.high_freq = options.get("high_freq", 0.0)
    opts.use_energy = options.get("use_energy", False)
    opts.htk_compat = options.get("htk_compat", False)
    opts.raw_energy = options.get("raw_energy", True)
    opts.energy_floor = options.get("energy_floor", 0.0)
    opts.use_power = options.get("use_power", True)
    extractor = knf.OnlineFbank(opts)
    extractor.accept_waveform(opts.frame_opts.samp_freq, (samples * 32768).tolist())
    extractor.input_finished()
    rows = [extractor.get_frame(i) for i in range(extractor.num_frames_ready)]
    return np.array(rows, dtype=np.float32).reshape(len(rows), Fbank(**options).dim)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"snip_edges": False},
    {"window": "hamming", "num_mels": 23},
    {"window": "hanning", "frame_length": 32.0, "frame_shift": 8.0},
    {"window": "rectangular", "preemphasis": 0.0},
    {"window": "blackman", "remove_dc_offset": False},
    {"window": "sine", "low_freq": 100.0, "high_freq": 7000.0},
    {"rate": 8000, "num_mels": 40, "high_freq": -200.0},
    {"rate": 22050},
    {"use_energy": True},
    {"use_energy": True, "htk_compat": True, "num_mels": 40},
    {"use_energy": True, "raw_energy": False, "window": "hamming"},
    {"use_energy": True, "energy_floor": 1e9},
    {"use_power": False, "num_mels": 64},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "default")
def test_equal_to_kaldi_native_fbank(options: dict[str, Any]) -> None:
    for seed, count in enumerate((400 * 3, 16000, 16000 + 77)):
        samples = noise(count, seed) + (0.2 if seed else 0.0)
        ours, theirs = Fbank(**options)(samples), native(samples, **options)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"snip_edges": False},
        {"window": "hamming"},
        {"rate": 8000, "num_mels": 40},
        {"use_power": False},
        {"preemphasis": 0.5},
    ],
    ids=str,
)
def test_equal_to_the_slow_way(options: dict[str, Any]) -> None:
    samples = noise(BLOCK * 160 * 2 + 333)
    np.testing.assert_allclose(Fbank(**options)(samples), slow_fbank(samples, **options), atol=5e-4, rtol=0)
    for kind, raw in (("raw", True), ("windowed", False)):
        ours = Fbank(**options, use_energy=True, raw_energy=raw)(samples)
        np.testing.assert_allclose(ours, slow_fbank(samples, energy=kind, **options), atol=5e-4, rtol=0)


def test_nearer_to_kaldi_than_the_exact_values_are() -> None:
    """What `follow_kaldi` is for: without it the largest error is four times as large."""
    theirs = dict(read_ark(shared("oracle/kaldi/fbank80.ark")))["jfk-1961"]
    samples = recording("jfk-1961")
    ours, exact = np.abs(Fbank()(samples) - theirs).max(), np.abs(slow_fbank(samples) - theirs).max()
    assert ours < 0.004 < 0.012 < exact
    assert np.abs(twiddle_drift(512)).max() < 1e-5 and len(twiddle_drift(512)) == 256


def test_silence_is_the_floor() -> None:
    fbank = Fbank(use_energy=True)
    for samples in (np.zeros(1600, np.float32), np.full(1600, 0.5, np.float32)):
        np.testing.assert_allclose(fbank(samples), np.log(np.finfo(np.float32).eps), atol=1e-6)


@given(
    st.integers(0, 5000),
    st.sampled_from([8000, 16000, 11025]),
    st.booleans(),
    st.sampled_from([(25.0, 10.0), (20.0, 5.0), (10.0, 10.0), (16.0, 20.0)]),
)
@settings(max_examples=80, deadline=None)
def test_number_of_frames(count: int, rate: int, snip: bool, times: tuple[float, float]) -> None:
    options = {"rate": rate, "snip_edges": snip, "frame_length": times[0], "frame_shift": times[1], "num_mels": 10}
    fbank = Fbank(**options)
    found = fbank(noise(count))
    assert found.shape == (fbank.num_frames(count), fbank.dim)
    if count:
        assert len(native(noise(count), **options)) == len(found)


@given(st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_very_short_audio_is_mirrored_as_often_as_needed(count: int) -> None:
    samples = noise(count)
    ours, slow = Fbank(snip_edges=False)(samples), slow_fbank(samples, snip_edges=False)
    np.testing.assert_allclose(ours, slow, atol=5e-3, rtol=0)


@given(st.integers(1, 4), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_frames_do_not_depend_on_what_follows(blocks: int, rest: int) -> None:
    """The frames of a beginning are the beginning of the frames, whatever block they fall into."""
    samples = noise(160 * (BLOCK * 4 + 10))
    fbank = Fbank()
    whole = fbank(samples)
    part = fbank(samples[: 160 * (blocks * BLOCK - 2 + rest) + 400])
    np.testing.assert_allclose(part, whole[: len(part)], atol=1e-5)


def test_input_is_not_changed_and_other_types_are_taken() -> None:
    samples = noise(4000)
    before = samples.copy()
    found = Fbank()(samples)
    np.testing.assert_array_equal(samples, before)
    np.testing.assert_allclose(Fbank()(samples.astype(np.float64)), found, atol=1e-4)
    twice = np.repeat(samples, 2)[::2]
    np.testing.assert_array_equal(Fbank()(twice), found)


def test_dither() -> None:
    silence = np.zeros(16000, np.float32)
    fbank = Fbank(dither=1.0)
    first = fbank(silence)
    np.testing.assert_array_equal(first, Fbank(dither=1.0)(silence))
    # Noise of standard deviation 1 on the 16-bit scale, as Kaldi's.
    expected = slow_fbank(noise(16000, 5, 1 / 32768))
    assert abs(first.mean() - expected.mean()) < 0.1
    assert np.abs(fbank(noise(16000)) - Fbank()(noise(16000))).max() < 0.5


def test_copies_work_alone() -> None:
    samples = noise(30000)
    fbank = Fbank(num_mels=40, use_energy=True)
    expected = fbank(samples)
    for copied in (copy.deepcopy(fbank), copy.copy(fbank)):  # pickle copies the same way
        fbank(noise(20000, 9))
        np.testing.assert_array_equal(copied(samples), expected)


def test_facts() -> None:
    fbank = Fbank(rate=8000, num_mels=40, use_energy=True)
    assert (fbank.dim, fbank.seconds_per_frame, fbank.num_frames(8000)) == (41, 0.01, 98)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"num_mels": 200}, "num_mels: 200 are too many"),
        ({"num_mels": 2}, "num_mels: must be at least 3"),
        ({"low_freq": 5000.0, "high_freq": 4000.0}, "low_freq, high_freq: need 0 <= low < high <= 8000 Hz"),
        ({"high_freq": 9000.0}, "low_freq, high_freq"),
        ({"window": "gauss"}, "window: unknown window 'gauss'; one of povey"),
        ({"frame_shift": 0.0}, "frame_length, frame_shift|frame_length 25.0, frame_shift 0.0 ms"),
        ({"preemphasis": 1.5}, "preemphasis: must lie between 0 and 1"),
    ],
)
def test_bad_options(options: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what):
        Fbank(**options)


def test_every_option_has_its_sentence() -> None:
    for option in read_signature("speechlm.features.fbank:Fbank").options:
        assert option.sentence, option.name


def test_no_torch_is_imported(tmp_path: Path) -> None:
    import subprocess
    import sys

    features, io = "fbank cmvn augment extract", "tables datadir audio archive files recordings checks fix"
    code = f"import sys\nfor m in '{features}'.split(): __import__('speechlm.features.' + m)\n"
    code += f"for m in '{io}'.split(): __import__('speechlm.io.' + m)\n"
    code += "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'scipy.signal')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
