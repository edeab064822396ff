"""Mean and variance statistics against Kaldi's files."""

from __future__ import annotations

from pathlib import Path

import kaldiio
import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.features.cmvn import CmvnStats, apply_cmvn, load_per_speaker, save_per_speaker
from speechlm.io.archive import read_ark
from speechlm.io.tables import read_table
from test.paths import shared


def oracle() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    folder = shared("oracle/kaldi")
    return dict(read_ark(folder / "fbank80.ark")), read_table(folder / "utt2spk")


def per_speaker() -> dict[str, CmvnStats]:
    feats, speakers = oracle()
    stats: dict[str, CmvnStats] = {}
    for utt, matrix in feats.items():
        stats.setdefault(speakers[utt], CmvnStats(80)).accumulate(matrix)
    return stats


def test_statistics_equal_kaldi() -> None:
    ours, theirs = per_speaker(), load_per_speaker(shared("oracle/kaldi/cmvn_per_spk.ark"))
    assert ours.keys() == theirs.keys()
    for speaker in theirs:
        np.testing.assert_allclose(ours[speaker].sums, theirs[speaker].sums, rtol=1e-7)
    total = CmvnStats(80)
    for stats in ours.values():
        total.merge(stats)
    np.testing.assert_allclose(total.sums, CmvnStats.load(shared("oracle/kaldi/cmvn_global.mat")).sums, rtol=1e-7)


def test_normalised_features_equal_kaldi() -> None:
    feats, speakers = oracle()
    stats = per_speaker()
    for utt, theirs in read_ark(shared("oracle/kaldi/fbank80_cmvn_per_spk.ark")):
        ours = apply_cmvn(feats[utt], stats[speakers[utt]])
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_result_has_mean_zero_and_variance_one() -> None:
    feats = np.random.default_rng(0).normal([3.0, -1.0, 9.0], [2.0, 0.1, 1.0], (500, 3)).astype(np.float32)
    stats = CmvnStats(3).accumulate(feats[:200]).accumulate(feats[200:])
    both, mean = apply_cmvn(feats, stats), apply_cmvn(feats, stats, norm_vars=False)
    np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(both.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(mean.std(axis=0), feats.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(mean.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(CmvnStats.of(feats).sums, stats.sums)


def test_constant_features_stay_finite() -> None:
    feats = np.full((10, 2), 5.0, np.float32)
    assert np.isfinite(apply_cmvn(feats, CmvnStats.of(feats))).all()


def test_files(tmp_path: Path) -> None:
    stats = {"b": CmvnStats.of(np.ones((3, 4))), "a": CmvnStats.of(np.zeros((2, 4)))}
    save_per_speaker(tmp_path / "c.ark", tmp_path / "c.scp", stats)
    assert list(load_per_speaker(tmp_path / "c.ark")) == ["a", "b"]
    np.testing.assert_array_equal(kaldiio.load_scp(str(tmp_path / "c.scp"))["b"], stats["b"].sums)
    assert CmvnStats.load(read_table(tmp_path / "c.scp")["b"]).count == 3
    stats["b"].save(tmp_path / "g")
    np.testing.assert_array_equal(kaldiio.load_mat(str(tmp_path / "g")), stats["b"].sums)
    np.testing.assert_array_equal(CmvnStats.load(tmp_path / "g").sums, stats["b"].sums)


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"features \(2, 3\) do not fit statistics of width 4"):
        CmvnStats(4).accumulate(np.ones((2, 3)))
    with pytest.raises(UserError, match="width 3 and 4 cannot be added"):
        CmvnStats(4).merge(CmvnStats(3))
    with pytest.raises(UserError, match="hold no frame"):
        apply_cmvn(np.ones((2, 4)), CmvnStats(4))
    with pytest.raises(UserError, match="features have width 3, the statistics 4"):
        apply_cmvn(np.ones((2, 3)), CmvnStats.of(np.ones((1, 4))))
    with pytest.raises(UserError, match=r"m: \(3, 4\) is not the shape"):
        CmvnStats.from_sums(np.ones((3, 4)), "m")
    with pytest.raises(UserError, match="no such archive"):
        CmvnStats.load(tmp_path / "none")
