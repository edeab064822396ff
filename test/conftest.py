"""For all tests: one OpenMP thread a process (several pytest workers share the cores), no hypothesis deadline on busy machines."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported anywhere
settings.register_profile("speechlm", deadline=None)
settings.load_profile("speechlm")
