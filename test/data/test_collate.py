"""Padding: what was there is there, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from speechlm.data.collate import collate, padding_share
from speechlm.data.dataset import Example


def example(name: str, speech: np.ndarray, answer: list[int] | None = None, seconds: float = 1.0) -> Example:
    return Example(name, speech, seconds, name.upper(), None, answer, "s")


def test_rows_come_back() -> None:
    random = np.random.default_rng(0)
    rows = [random.standard_normal((n, 3)).astype(np.float32) for n in (4, 1, 7)]
    batch = collate([example(f"u{i}", row, [1] * i) for i, row in enumerate(rows)])
    assert batch.ids == ["u0", "u1", "u2"] and batch.texts == ["U0", "U1", "U2"]
    assert batch.speech.data.shape == (3, 7, 3) and batch.speech.lens.tolist() == [4, 1, 7]
    for row, back in zip(rows, batch.speech.rows(), strict=True):
        assert np.array_equal(row, back.numpy())
    assert not batch.speech.data[~batch.speech.mask].any()
    assert batch.answers is not None and batch.answers.lens.tolist() == [0, 1, 2]
    assert batch.answers.data.dtype == torch.int64 and batch.targets is None
    assert padding_share(batch) == pytest.approx(9 / 21)


def test_units_waves_and_nothing() -> None:
    units = collate([example("a", np.array([1, 2], dtype=np.int64)), example("b", np.array([3], dtype=np.int64))])
    assert units.speech.data.tolist() == [[1, 2], [3, 0]] and units.speech.data.dtype == torch.int64
    wave = collate([example("a", np.ones(5, dtype=np.float32))])
    assert wave.speech.data.shape == (1, 5)
    none = collate([example("a", np.zeros(0, dtype=np.float32)), example("b", np.zeros(0, dtype=np.float32))])
    assert none.speech.data.shape == (2, 0) and none.speech.lens.tolist() == [0, 0]
    assert padding_share(none) == 0.0


def test_one_without_answer_means_no_answers() -> None:
    one = example("a", np.ones(2, dtype=np.float32), [1])
    assert collate([one, replace(one, id="b", answer=None)]).answers is None


def test_a_read_only_array_is_not_shared() -> None:
    speech = np.ones((2, 3), dtype=np.float32)
    speech.setflags(write=False)
    batch = collate([example("a", speech)])
    batch.speech.data.add_(1)
    assert (speech == 1).all()


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        collate([])
