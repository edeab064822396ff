"""A training that hangs says where: after so long without a step, the batch and every thread's stack go into a file."""

from __future__ import annotations

import faulthandler
import logging
import threading
import time
from pathlib import Path
from types import TracebackType

from speechlm.core.batch import Batch
from speechlm.training.distributed import rank
from speechlm.training.faults import describe

LOGGER = logging.getLogger(__name__)


class Watchdog:
    """Looks after a loop that calls `beat` now and then; tells once for each time that it stands still.

    It only tells: what hangs is often another rank, and the process group has a time limit of its own.

    folder: gets `rank-R.txt`. limit: seconds without a beat; 0 watches nothing.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder, self.limit = folder, limit
        self.over = threading.Event()
        self.beat("before the first step", [])

    def beat(self, doing: str, batches: list[Batch]) -> None:
        """Say what is begun now."""
        self.doing, self.batches, self.told = doing, batches, False
        self.since = time.monotonic()

    def __enter__(self) -> Watchdog:
        if self.limit > 0:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()

    def _watch(self) -> None:
        while not self.over.wait(min(1.0, self.limit / 4)):
            if not self.told and time.monotonic() - self.since > self.limit:
                self.told = True
                self._tell()

    def _tell(self) -> None:
        path = self.folder / f"rank-{rank()}.txt"
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{self.doing}\n")
            for batch in self.batches:
                file.write(f"{describe(batch)}\n{' '.join(batch.ids)}\n")
            file.flush()
            faulthandler.dump_traceback(file)
        LOGGER.error(
            "rank %d stands still for %.0f s, %s: batch and stacks are in %s", rank(), self.limit, self.doing, path
        )
