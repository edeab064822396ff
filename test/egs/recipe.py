"""A recipe in a folder of its own: the same run.sh, steps, utils and confs as in `egs`, with its data and results elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_recipe(name: str, place: Path) -> Path:
    """Copy what a recipe needs, links kept as links; give its folder."""
    for folder in ("utils", "egs/TEMPLATE"):
        shutil.copytree(ROOT / folder, place / folder, symlinks=True, dirs_exist_ok=True)
    ignore = shutil.ignore_patterns("data", "exp", "downloads", "RESULTS.md")
    shutil.copytree(ROOT / "egs" / name, place / "egs" / name, symlinks=True, ignore=ignore)
    return place / "egs" / name / "asr1"


def environment() -> dict[str, str]:
    """The tests' own Python and package, whatever folder the recipe lies in."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SPEECHLM_TRAIN_THREADS": "1"}


def run(folder: Path, *arguments: str, code: int = 0, timeout: int = 280, script: str = "run.sh") -> str:
    """Run ./run.sh, or another script of the recipe; give its output. Fails with the output where the exit code is another one."""
    done = subprocess.run([f"./{script}", *arguments], cwd=folder, env=environment(), text=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    logs = (
        ""
        if done.returncode == code
        else "\n".join(
            f"--- {log}\n{log.read_text(encoding='utf-8')[-1500:]}" for log in sorted(folder.glob("**/log/*.log"))[-3:]
        )
    )
    assert done.returncode == code, f"{done.stdout[-3000:]}\n{logs}"
    return done.stdout
