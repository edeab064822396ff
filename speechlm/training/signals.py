"""Being asked to stop: SIGTERM or SIGUSR1 (a cluster's time limit) lets the step end, saves, and leaves with a code."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType

LOGGER = logging.getLogger(__name__)

REQUEUE_EXIT = 99
"""Exit code of a training that was asked to stop and has saved: GridEngine puts such a job back into the queue by
itself, a Slurm job script does it with `scontrol requeue`. Started again, the same command goes on."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopSignals:
    """While open, SIGTERM and SIGUSR1 only set `asked`; before and after they act as usual."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> StopSignals:
        self.before = {}
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            self.before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            LOGGER.warning("%s: saving after this step, then stopping", signal.Signals(number).name)
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
