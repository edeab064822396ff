"""Random numbers follow from the names alone."""

from __future__ import annotations

import random

import numpy as np
import torch

from speechlm.training.seeds import seed_all


def draw(*names: int) -> tuple[float, float, float]:
    seed_all(*names)
    return random.random(), float(np.random.random()), float(torch.rand(1))


def test_same_names_same_numbers_else_others() -> None:
    assert draw(1, 2, 0) == draw(1, 2, 0)
    drawn = {draw(1, step, rank) for step in range(3) for rank in range(3)} | {draw(2, 0, 0), draw(1)}
    assert len(drawn) == 11
