"""Phases share the whole out, and begin again at zero."""

from __future__ import annotations

import time

import pytest
import torch

from speechlm.decoding.stopwatch import PHASES, Stopwatch, now


def test_phases_are_the_whole() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.encoding(torch.device("cpu")):
            time.sleep(0.02)
    watch.prefill += 0.25
    phases = watch.take(1.0)
    assert tuple(phases) == PHASES and sum(phases.values()) == pytest.approx(1.0)
    assert 0.04 <= phases["encode"] < 0.3 and phases["prefill"] == 0.25
    assert watch.take(0.5) == {"encode": 0.0, "prefill": 0.0, "decode": 0.5}
    watch.prefill += 2.0
    assert watch.take(1.0)["decode"] == 0.0


def test_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", asked.append)
    now(torch.device("cpu"))
    assert asked == []
    with Stopwatch().encoding(torch.device("cuda", 0)):
        assert len(asked) == 1
    assert asked == [torch.device("cuda", 0)] * 2
