"""Which step was best, and how long ago."""

from __future__ import annotations

import math

import pytest

from speechlm.core.errors import UserError
from speechlm.training.history import History


def filled(values: list[float], larger: bool = False) -> tuple[History, list[bool]]:
    history = History("cer", larger, [])
    return history, [history.add(10 * (i + 1), {"cer": value, "loss": 1.0}) for i, value in enumerate(values)]


def test_best_and_waiting() -> None:
    history, best = filled([3.0, 1.0, 2.0, 1.0, math.nan])
    assert best == [True, True, False, False, False]
    assert history.best(3) == [20, 40, 30], "of two equal ones the earlier"
    assert history.waiting() == 3 and history.value(30) == 2.0
    assert history.better(1.0, than=2.0) and not history.better(1.0, than=1.0)


def test_larger_is_better() -> None:
    history, best = filled([0.1, 0.3, 0.2], larger=True)
    assert best == [True, True, False] and history.best(1) == [20] and history.better(2.0, than=1.0)


def test_a_step_done_again_replaces_what_came_after() -> None:
    history, _ = filled([3.0, 2.0, 1.0])
    history.add(20, {"cer": 5.0})
    assert [row["step"] for row in history.rows] == [10, 20] and history.best(1) == [10]


def test_names_the_results_there_are() -> None:
    with pytest.raises(UserError, match="'cer' is not validated; there are: loss, wer"):
        History("cer", False, []).add(1, {"wer": 1.0, "loss": 2.0})
    assert History("cer", False, []).waiting() == 0
