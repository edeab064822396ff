"""Print which of the project's needs are installed here, required and optional; exit status 1 if one is missing."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SCLITE = Path("/usr/lib/sctk/bin/sclite")  # where Debian's package has it


class Row(NamedTuple):
    """One line of the table."""

    name: str
    required: bool
    good: bool
    found: str
    advice: str = ""


def requirements(group: str) -> list[str]:
    """Read one list of requirements (RUN, MINI) from setup.py."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [group]:
            return ast.literal_eval(node.value)
    raise LookupError(f"setup.py has no list {group}")


def check_python() -> Row:
    """The interpreter's version."""
    good = (3, 10) <= sys.version_info[:2] <= (3, 12)
    return Row("python", True, good, sys.version.split()[0], "Python 3.10, 3.11 or 3.12")


def check_package(text: str, required: bool) -> Row | None:
    """One requirement of setup.py; None if it is not for this Python."""
    from packaging.requirements import Requirement

    wanted = Requirement(text)
    if wanted.marker and not wanted.marker.evaluate():
        return None
    advice = f"pip install '{wanted.name}{wanted.specifier}'"
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Row(wanted.name, required, False, "not installed", advice)
    return Row(wanted.name, required, wanted.specifier.contains(version, prereleases=True), version, advice)


def run(*command: str, seconds: int = 120) -> tuple[bool, str]:
    """Run a command; whether it succeeded, and what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return done.returncode == 0, (done.stdout or done.stderr).strip()


def check_torch() -> Iterator[Row]:
    """The pair torch and torchaudio must be of one version; a mismatch breaks the import of both."""
    code = "import torch, torchaudio; print(torch.__version__, torchaudio.__version__, torch.cuda.device_count())"
    good, text = run(sys.executable, "-c", code)
    last = text.splitlines()[-1] if text else "no output"
    advice = "pip install " + " ".join(f"'{line}'" for line in requirements("RUN") if line.startswith("torch"))
    if not good:
        yield Row("torch + torchaudio", True, False, last, advice)
        return
    torch, audio, devices = last.split()
    pair = torch.split(".")[:2] == audio.split(".")[:2]
    yield Row("torch + torchaudio", True, pair, f"{torch} + {audio}", advice)
    yield Row("CUDA devices", False, devices != "0", devices, "without one, training runs on the CPU")


def check_soundfile() -> Row:
    """The formats that libsndfile reads: mp3 and opus came late."""
    code = "import soundfile as s; print(s.__libsndfile_version__, *s.available_formats(), *s.available_subtypes())"
    good, text = run(sys.executable, "-c", code)
    have = set(text.split())
    wanted = {"WAV", "FLAC", "OGG", "NIST", "MP3", "OPUS"}
    if not good:
        return Row("audio formats", True, False, (text.splitlines() or ["?"])[-1], "pip install soundfile")
    missing = sorted(wanted - have)
    found = f"libsndfile {text.split()[0]}" + (f", without {' '.join(missing)}" if missing else "")
    return Row("audio formats", True, not missing, found, "pip install --upgrade soundfile")


def check_espeak() -> Row:
    """The synthesiser of the corpus mini: its library must load and find its voices."""
    code = (
        "import ctypes, espeakng_loader as e; lib = ctypes.CDLL(e.get_library_path());"
        "assert lib.espeak_Initialize(2, 0, e.get_data_path().encode(), 0x8000) > 0, 'no voices (path too long?)';"
        "lib.espeak_Info.restype = ctypes.c_char_p; print(lib.espeak_Info(None).decode())"
    )
    good, text = run(sys.executable, "-c", code)
    found = (text.splitlines() or ["?"])[-1]
    return Row("espeak-ng", False, good, found, f"for egs/mini: pip install {requirements('MINI')[0]}")


def check_program(
    name: str, *, required: bool = False, advice: str, arguments: tuple[str, ...] = ("--version",)
) -> Row:
    """A program on the PATH, with the first version number that it tells."""
    path = shutil.which(name) or (str(SCLITE) if name == "sclite" and SCLITE.exists() else None)
    if path is None:
        return Row(name, required, False, "not found", advice)
    version = re.search(r"\d+\.\d+(\.\d+)*", run(path, *arguments)[1]) if arguments else None
    return Row(name, required, True, version.group() if version else path, advice)


def rows() -> Iterator[Row]:
    """All lines of the table."""
    yield check_python()
    yield check_program("bash", required=True, advice="apt-get install bash")
    yield check_program("perl", required=True, advice="apt-get install perl-base", arguments=("-e", "print $^V"))
    try:
        import packaging.requirements  # noqa: F401
    except ImportError:
        yield Row("packages", True, False, "not installed", "pip install -e . (or make env)")
    else:
        for group, required in (("RUN", True), ("MINI", False)):
            yield from filter(None, (check_package(text, required) for text in requirements(group)))
        yield from check_torch()
        yield check_soundfile()
        yield check_espeak()
    yield check_program(
        "ffmpeg", advice="for m4a, webm, shortened SPHERE: apt-get install ffmpeg", arguments=("-version",)
    )
    yield check_program("sox", advice="for utils/perturb_data_dir_speed.sh: apt-get install sox")
    yield check_program("sclite", advice="for sclite's reports: tools/install_sctk.sh", arguments=())
    yield check_program("sbatch", advice="for utils/slurm.pl: a cluster, or tools/install_slurm.sh")
    yield check_program(
        "qsub", advice="for utils/queue.pl: a cluster, or tools/install_gridengine.sh", arguments=("-help",)
    )


def main() -> int:
    """Print the table."""
    missing = []
    for row in rows():
        mark = "ok" if row.good else "MISSING" if row.required else "-"
        print(f"{mark:<8} {row.name:<20} {row.found:<28} {'' if row.good else row.advice}".rstrip())
        if row.required and not row.good:
            missing.append(row.name)
    if missing:
        print(f"\ncheck_install.py: required and missing or of another version: {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
