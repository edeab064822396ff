"""Run scripts of utils/ the way a user does: as programs, in a folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from test.paths import ROOT

UTILS = ROOT / "utils"


def environment(**more: str) -> dict[str, str]:
    """A plain environment: C locale, this Python first on the PATH, nothing of pytest's."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {"HOME": os.environ.get("HOME", "/"), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
    return {**kept, "PATH": path, "LC_ALL": "C", "OMP_NUM_THREADS": "1", **more}


def run(
    *words: str | Path, cwd: Path, stdin: str = "", seconds: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a program; a word without a slash that is the name of a file of utils/ means that file."""
    first = str(words[0])
    program = str(UTILS / first) if "/" not in first and (UTILS / first).exists() else first
    return subprocess.run(
        [program, *map(str, words[1:])],
        cwd=cwd, input=stdin, capture_output=True, text=True, timeout=seconds, env=environment(**env), check=False,
    )  # fmt: skip


def interrupt(
    *words: str | Path, cwd: Path, when: list[Path], sig: int = signal.SIGINT, twice: bool = False
) -> tuple[int, str]:
    """Run a program, signal its process group, as Ctrl-C does, once all of `when` exist; its status and output."""
    # A shell may have left SIGINT ignored, which programs inherit; at a terminal it is not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [str(word) for word in words], cwd=cwd, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    wait_for(lambda: all(path.exists() for path in when), f"{when} to appear")
    os.killpg(process.pid, sig)
    if twice:
        time.sleep(0.5)
        os.killpg(process.pid, sig)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def wait_for(condition, what: str, seconds: float = 20.0) -> None:
    """Wait until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def script(path: Path, text: str) -> Path:
    """Write an executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path
