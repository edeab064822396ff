"""Schedules: where they start, where the top is, where they end."""

from __future__ import annotations

import math

import pytest

from speechlm.training.schedule import lr_factor

KINDS = ["warmup_linear", "warmup_cosine", "noam", "one_cycle", "constant"]


@pytest.mark.parametrize("kind", KINDS)
def test_rises_to_one_at_the_end_of_the_warmup_and_not_above(kind: str) -> None:
    factors = [lr_factor(step, kind, warmup=10, steps=100) for step in range(1, 101)]  # type: ignore[arg-type]
    assert factors[9] == pytest.approx(1.0)
    assert all(b > a for a, b in zip(factors[:9], factors[1:10], strict=True))
    assert max(factors) <= 1.0 + 1e-12
    assert all(b <= a for a, b in zip(factors[9:], factors[10:], strict=False))


def test_ends() -> None:
    assert lr_factor(100, "warmup_linear", warmup=10, steps=100, final=0.1) == pytest.approx(0.1)
    assert lr_factor(100, "warmup_cosine", warmup=10, steps=100, final=0.2) == pytest.approx(0.2)
    assert lr_factor(55, "warmup_linear", warmup=10, steps=100) == pytest.approx(0.5)
    assert lr_factor(55, "warmup_cosine", warmup=10, steps=100) == pytest.approx(0.5)
    assert lr_factor(40, "noam", warmup=10, steps=100) == pytest.approx(0.5)
    assert lr_factor(100, "constant", warmup=10, steps=100) == 1.0
    assert lr_factor(100, "one_cycle", warmup=10, steps=100) == pytest.approx(1e-4)
    assert lr_factor(30, "one_cycle", warmup=0, steps=100) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_finite_without_warmup_and_beyond_the_end(kind: str) -> None:
    for step in (1, 2, 50, 51):
        assert 0 <= lr_factor(step, kind, warmup=0, steps=50) <= 1 and math.isfinite(step)  # type: ignore[arg-type]


def test_refuses_what_does_not_exist() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        lr_factor(0, "constant", warmup=0, steps=1)
    with pytest.raises(ValueError, match="schedule must be"):
        lr_factor(1, "stairs", warmup=0, steps=1)  # type: ignore[arg-type]
