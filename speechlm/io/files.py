"""Files and folders that appear under their final name only when they are complete."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from speechlm.core.errors import UserError

COUNTER = itertools.count()
# What a user can mend: the rest of OSError is a fault of ours and keeps its trace.
FULL = {
    errno.ENOSPC: "no space is left on the disk; free some and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EFBIG: "the file is too large for this file system or for ulimit -f",
}
REFUSED = FULL | {
    errno.EACCES: "no permission to write; choose another folder or change its rights",
    errno.EPERM: "no permission to write; choose another folder or change its rights",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "this is a folder, not a file; choose another path",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one",
}


@contextmanager
def told(path: Path, reasons: dict[int, str]) -> Iterator[None]:
    """Turn the errors of writing that a user can mend into a UserError that names `path`.

    Around a caller's body only FULL is right: a refused file there may be one that the body reads.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in reasons:
            raise
        raise UserError(f"{path}: cannot be written: {reasons[error.errno]}") from error


def temporary_name(path: Path) -> Path:
    """Name a hidden neighbour of `path`: the same folder, so that the last step is one rename."""
    return path.with_name(f".{path.name[:60]}.{os.getpid()}.{next(COUNTER)}.tmp")


def is_special(path: Path) -> bool:
    """True for what a rename must not replace: a folder, a device, a pipe."""
    with told(path, REFUSED):
        return path.exists() and not path.is_file()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; what the body writes there is moved to `path` when the body ends well.

    For writers that open the file themselves. The missing folders above `path` are made. After an error nothing is
    left behind, and an older file of the name stays as it was. A link is followed, so that it stays a link.

    Raises: UserError when the disk is full or the place cannot be written.
    """
    final = Path(os.path.realpath(path))
    temporary = temporary_name(final)
    if is_special(final):
        raise UserError(f"{path}: cannot be written: a folder or a device, not a file; choose another path")
    try:
        with told(Path(path), REFUSED):
            final.parent.mkdir(parents=True, exist_ok=True)
        with told(Path(path), FULL):
            yield temporary
        with told(Path(path), REFUSED):
            sync(temporary)
            os.replace(temporary, final)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_open(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing ("w" UTF-8 with plain newlines, or "wb"); it appears only when the body ends well.

    A device (/dev/stdout, /dev/null) is written directly.

    Raises: UserError when the disk is full or the place cannot be written.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode must be 'w' or 'wb', is {mode!r}")
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    target = Path(path)
    if is_special(target) and not target.is_dir():
        with told(target, REFUSED):
            file = open(target, mode, **text)  # noqa: SIM115 (closed below; opening and writing fail differently)
        with told(target, FULL), file:
            yield file
        return
    with atomic_path(target) as temporary:
        with told(target, REFUSED):
            file = open(temporary, mode, **text)  # noqa: SIM115 (as above)
        with file:
            yield file


@contextmanager
def atomic_dir(path: Path | str) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; it takes the place of `path` when the body ends well.

    An older folder of the name is replaced as a whole, or stays whole after an error.
    """
    final = Path(os.path.realpath(path))
    temporary, old = temporary_name(final), temporary_name(final)
    try:
        with told(Path(path), REFUSED):
            temporary.mkdir(parents=True)
        with told(Path(path), FULL):
            yield temporary
        with told(Path(path), REFUSED):
            if final.exists():
                os.replace(final, old)
            os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not final.exists():
            os.replace(old, final)
        shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until the file lies on the disk: a rename before that could survive a power cut that the bytes do not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
