"""Kaldi's archives of matrices (ark, scp): written whole or not at all, read with errors that name file and offset."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open
from speechlm.io.matrices import Truncated, read_shape, read_values, text_of, write_values

LOCATION = re.compile(r"(.+?)(?::(\d+))?")
Found = TypeVar("Found")


class ArkWriter:
    """Write matrices to an archive and its index; both appear under their names only when all is written.

    ark, scp: paths; scp may be None. In the index the archive's path stands as given.
    compress: 0 plain floats, else one of Kaldi's compression methods (1 automatic, 2 speech features, 3 two bytes,
    5 one byte per value).
    """

    def __init__(self, ark: Path | str, scp: Path | str | None = None, compress: int = 0) -> None:
        if compress not in (0, 1, 2, 3, 5):
            raise UserError(f"compress: must be 0, 1, 2, 3 or 5, is {compress}")
        self.ark, self.scp, self.compress = Path(ark), Path(scp) if scp else None, compress
        self.count = 0

    def __enter__(self) -> ArkWriter:
        with ExitStack() as stack:
            # The index was opened first and so appears last: it never points into an archive that is not there.
            self.index = stack.enter_context(atomic_open(self.scp)) if self.scp else None
            self.file = stack.enter_context(atomic_open(self.ark, "wb"))
            self.stack = stack.pop_all()
        return self

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append one matrix (T, D) or vector (D,)."""
        if not key or any(sign.isspace() for sign in key):
            raise UserError(f"{self.ark}: the id {key!r} is empty or holds a blank; rename it")
        prefix = key.encode("utf-8") + b" "
        offset = self.file.tell() + len(prefix)
        self.file.write(prefix)
        write_values(self.file, matrix, self.compress)
        if self.index:
            self.index.write(f"{key} {self.ark}:{offset}\n")
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.stack.__exit__(kind, value, trace)


def write_matrix(path: Path | str, matrix: np.ndarray, binary: bool = True) -> None:
    """Write one matrix or vector to its own file, atomically; binary False gives Kaldi's text form."""
    with atomic_open(path, "wb") as file:
        if binary:
            write_values(file, matrix)
        else:
            file.write(text_of(matrix).encode("ascii"))


def read_matrix(location: str) -> np.ndarray:
    """Read the matrix or vector at "file.ark:1234", or the one a file holds: float32 (float64 where it was double).

    Plain, compressed and text forms.

    Raises: UserError when the file is missing, cut short, or holds no matrix there.
    """
    return at(location, read_values)


def matrix_shape(location: str) -> tuple[int, int]:
    """Read only the header of a matrix: its rows and columns (a vector has one column).

    Raises: UserError as `read_matrix`, also when the file ends before the matrix does.
    """
    shape = at(location, read_shape)
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[0], 1)


def at(location: str, read: Callable[[IO[bytes]], Found]) -> Found:
    """Call `read` where a location points."""
    path, offset = split_location(location)
    with opened(path) as file:
        file.seek(offset)
        return checked(read, file, path, offset)


def split_location(location: str) -> tuple[str, int]:
    """Part "foo.ark:1234" into path and offset; without a number it is the start of the file."""
    match = LOCATION.fullmatch(location)
    if match is None:
        raise UserError("'': no location of a matrix; write file.ark:offset")
    return match.group(1), int(match.group(2) or 0)


def opened(path: str) -> IO[bytes]:
    """Open an archive, or say why not."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such archive; run the feature stage or correct the path") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; correct the path or its rights") from None


def checked(read: Callable[[IO[bytes]], Found], file: IO[bytes], path: str, offset: int) -> Found:
    """Call `read`, or tell where the archive is broken."""
    try:
        return read(file)
    except Truncated:
        raise UserError(f"{path}:{offset}: cut short inside this matrix; make the archive again") from None
    except (ValueError, struct.error) as error:
        raise UserError(f"{path}:{offset}: no Kaldi matrix here ({error}); make the archive again") from None


def read_ark(path: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Give (id, matrix) in the file's order.

    Raises: UserError with path and offset when the archive is cut short or is none.
    """
    with opened(str(path)) as file:
        while (key := read_key(file, str(path))) is not None:
            yield key, checked(read_values, file, str(path), file.tell())


def read_key(file: IO[bytes], path: str) -> str | None:
    """Read up to the blank after an id; None at the end of the file."""
    start = file.tell()
    key = bytearray()
    while (byte := file.read(1)) not in (b" ", b"\t"):
        if not byte and not key.strip():
            return None
        if not byte or len(key) > 4096:
            raise UserError(f"{path}:{start}: no id and matrix here: cut short, or no archive; make it again")
        key += byte
    return key.strip().decode("utf-8", "replace")
