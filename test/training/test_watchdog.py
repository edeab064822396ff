"""The watchdog tells of a loop that stands still, with its batch, and of no other."""

from __future__ import annotations

import time
from pathlib import Path

from speechlm.data.collate import collate
from speechlm.training.watchdog import Watchdog
from test.training.toy import ToySet


def test_tells_the_batch_and_the_place(tmp_path: Path) -> None:
    batch = collate([ToySet().read(i, 0) for i in (3, 4)])
    with Watchdog(tmp_path / "stalls", 0.2) as watchdog:
        for _ in range(6):
            watchdog.beat("in step 6", [])
            time.sleep(0.05)
        assert not (tmp_path / "stalls").exists()
        watchdog.beat("in step 7", [batch])
        time.sleep(0.6)
    text = (tmp_path / "stalls" / "rank-0.txt").read_text()
    assert text.startswith("in step 7\n") and "u003 u004" in text and "test_watchdog.py" in text


def test_zero_watches_nothing(tmp_path: Path) -> None:
    with Watchdog(tmp_path / "stalls", 0.0):
        time.sleep(0.05)
    assert not list(tmp_path.iterdir())
