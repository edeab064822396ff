"""A throw-away Slurm or GridEngine for the tests: real daemons, started and ended by tools/with_*.sh."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from test.paths import ROOT
from test.shell.helpers import UTILS, environment, wait_for

DAEMON = {"slurm": "slurmctld", "gridengine": "sge_qmaster"}
PROGRAM = {"slurm": "slurm.pl", "gridengine": "queue.pl"}


@dataclass
class Call:
    """A program that runs inside of the cluster's namespaces; its files lie in `folder`."""

    folder: Path

    def wait(self, seconds: float = 60.0) -> Call:
        """Wait for its end."""
        wait_for((self.folder / ".status").exists, f"the end of the call in {self.folder}: {self.errors}", seconds)
        return self

    @property
    def status(self) -> int:
        """Exit status of the ended call."""
        return int((self.folder / ".status").read_text())

    @property
    def errors(self) -> str:
        """What it has written to its standard error so far."""
        path = self.folder / ".errors"
        return path.read_text(errors="surrogateescape") if path.exists() else ""

    @property
    def id(self) -> str:
        """The scheduler's number, while the call runs."""
        files = list(self.folder.glob("log/q/*/id"))
        return files[0].read_text().strip() if files else ""

    def log(self, name: str) -> str:
        """A log of its jobs."""
        return (self.folder / "log" / name).read_text(errors="surrogateescape")


class Cluster:
    """A shell inside of the cluster, to which lines are sent; what they do comes back through files."""

    def __init__(self, kind: str, folder: Path) -> None:
        if not shutil.which(DAEMON[kind], path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"needs {kind}: run tools/install_{kind}.sh")
        self.kind, self.folder, self.count = kind, folder, 0
        starter = ROOT / f"tools/with_{kind}.sh"
        self.process = subprocess.Popen(
            [starter, "bash", "--norc"], stdin=subprocess.PIPE, cwd=folder, env=environment(), text=True,
            stdout=(folder / "started").open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.send(f"touch {folder}/ready")
        wait_for(lambda: (folder / "ready").exists() or self.process.poll() is not None, f"{kind} to start", 60)
        if self.process.poll() == 77:
            pytest.skip((folder / "started").read_text().strip())
        assert self.process.poll() is None, (folder / "started").read_text()

    def send(self, line: str) -> None:
        """Have the shell do a line."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def begin(self, *words: str, folder: str | None = None) -> Call:
        """Begin slurm.pl or queue.pl with these words, in a folder of its own or the folder of an earlier call."""
        self.count += 1
        place = self.folder / (folder or f"call{self.count}")
        place.mkdir(exist_ok=True)
        (place / ".status").unlink(missing_ok=True)
        # A shell ignores SIGINT in the background; at a terminal it is not ignored.
        command = "env --default-signal=INT " + shlex.join([str(UTILS / PROGRAM[self.kind]), *words])
        run = f"(echo $BASHPID >.pid; exec {command}) >.output 2>.errors </dev/null; echo $? >.code; mv .code .status"
        self.send(f"(cd {place} && {{ {run}; }}) &")
        return Call(place)

    def run(self, *words: str, folder: str | None = None) -> Call:
        """Run slurm.pl or queue.pl to its end."""
        return self.begin(*words, folder=folder).wait()

    def ask(self, line: str) -> str:
        """What a shell line prints, inside of the cluster."""
        self.count += 1
        file = self.folder / f"answer{self.count}"
        self.send(f"{{ {line}; }} >{file}.new 2>&1 </dev/null; mv {file}.new {file}")
        wait_for(file.exists, f"the answer to: {line}", 30)
        return file.read_text()

    def queue(self) -> str:
        """The jobs that wait or run."""
        return self.ask("squeue --noheader --format=%i" if self.kind == "slurm" else "qstat -u '*' | tail -n +3")

    def has(self, number: str) -> bool:
        """Whether a job waits or runs."""
        return number in re.findall(r"^\s*(\d+)", self.queue(), re.M)

    def alive(self, process: str) -> bool:
        """Whether a process of the cluster runs."""
        return "State" in self.ask(f"grep -s '^State:[^Z]*$' /proc/{process}/status || :")

    def close(self) -> None:
        """End the shell, with it the cluster."""
        self.process.stdin.close()
        self.process.wait(30)
