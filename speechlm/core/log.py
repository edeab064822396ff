"""Log lines and progress: a bar on a terminal, plain lines with rate and time left in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def setup_logging(level: int = logging.INFO) -> None:
    """Send the package's log lines to stderr with the time in front."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("speechlm")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


def clock(seconds: float) -> str:
    """Write seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def progress(
    items: Iterable[Item], *, total: int | None, what: str, unit: str = "utt", every: float = 10.0
) -> Iterator[Item]:
    """Pass the items through and tell how far it is.

    On a terminal a tqdm bar on stderr; elsewhere one line every `every` seconds and one at the end.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what, unit=unit, dynamic_ncols=True)
        return
    logger = logging.getLogger("speechlm")
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= every:
            last = now
            rate = done / (now - start)
            left = f", {clock((total - done) / rate)} left" if total else ""
            logger.info("%s: %d%s %s, %.1f %s/s%s", what, done, f"/{total}" if total else "", unit, rate, unit, left)
    spent = time.monotonic() - start
    logger.info("%s: %d %s in %s", what, done, unit, clock(spent))
