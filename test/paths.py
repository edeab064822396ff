"""Where tests find what lies beside the project: real recordings and reference outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared(name: str) -> Path:
    """Give the path of `name` in the folder beside the project, or skip the test with a clear message."""
    path = ROOT.parent / "shared" / name
    if not path.exists():
        pytest.skip(f"needs {name} of the folder 'shared' beside the project")
    return path
