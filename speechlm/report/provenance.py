"""Where a number comes from: the state of the code and the command that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_commit(folder: Path | str = ".") -> str | None:
    """Give the short commit of the working copy around `folder`, `+` if files were changed; None without git."""
    commit = _git(folder, "rev-parse", "--short=10", "HEAD")
    if not commit:
        return None
    return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path | str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
