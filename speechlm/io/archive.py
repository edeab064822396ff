"""Kaldi's archives of matrices (ark, scp): written whole or not at all, read with an error that names file and offset."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_open

KINDS = {b"FM ": ("<f4", 2), b"DM ": ("<f8", 2), b"FV ": ("<f4", 1), b"DV ": ("<f8", 1)}
COMPRESSED = {b"CM ", b"CM2", b"CM3"}
LOCATION = re.compile(r"(.+?)(?::(\d+))?")


class Truncated(Exception):
    """The file ends inside a matrix."""


class ArkWriter:
    """Write matrices to an archive and its index; both appear under their names only when all is written.

    ark, scp: paths; scp may be None. In the index the archive's path stands as given.
    compress: 0 plain floats, else one of Kaldi's compression methods (1 automatic, 2 speech features, 3 two bytes,
    5 one byte per value).
    """

    def __init__(self, ark: Path | str, scp: Path | str | None = None, compress: int = 0) -> None:
        if compress not in (0, 1, 2, 3, 5):
            raise ValueError(f"compress must be 0, 1, 2, 3 or 5, is {compress}")
        self.ark, self.scp, self.compress = Path(ark), Path(scp) if scp else None, compress
        self.count = 0

    def __enter__(self) -> ArkWriter:
        with ExitStack() as stack:
            # The index closes last: it never points into an archive that is not there.
            self.index = stack.enter_context(atomic_open(self.scp)) if self.scp else None
            self.file = stack.enter_context(atomic_open(self.ark, "wb"))
            self.stack = stack.pop_all()
        return self

    def write(self, key: str, matrix: np.ndarray) -> None:
        """Append one matrix (T, D) or vector (D,)."""
        prefix = key.encode("utf-8") + b" "
        offset = self.file.tell() + len(prefix)
        self.file.write(prefix)
        write_body(self.file, matrix, self.compress)
        if self.index:
            self.index.write(f"{key} {self.ark}:{offset}\n")
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.stack.__exit__(kind, value, trace)


def write_body(file: IO[bytes], matrix: np.ndarray, compress: int = 0) -> None:
    """Write a matrix or vector in Kaldi's binary form: double stays double, all else becomes float."""
    if compress:
        from kaldiio.matio import write_array

        write_array(file, np.asarray(matrix, dtype=np.float32), compression_method=compress)
        return
    letter, dtype = (b"D", "<f8") if matrix.dtype == np.float64 else (b"F", "<f4")
    sizes = b"".join(b"\4" + struct.pack("<i", size) for size in matrix.shape)
    file.write(b"\0B" + letter + (b"M " if matrix.ndim == 2 else b"V ") + sizes)
    file.write(np.ascontiguousarray(matrix, dtype=dtype).data)


def write_matrix(path: Path | str, matrix: np.ndarray, binary: bool = True) -> None:
    """Write one matrix or vector to its own file, atomically; binary False gives Kaldi's text form."""
    with atomic_open(path, "wb") as file:
        if binary:
            write_body(file, matrix)
        else:
            file.write(text_of(matrix).encode("ascii"))


def text_of(matrix: np.ndarray) -> str:
    """Kaldi's text form, with the digits that give the same float back."""
    rows = [" ".join(np.format_float_positional(value, trim="-") for value in row) for row in np.atleast_2d(matrix)]
    return " [\n  " + "\n  ".join(rows) + " ]\n" if matrix.ndim == 2 else f" [ {rows[0]} ]\n"


def read_matrix(location: str) -> np.ndarray:
    """Read the matrix or vector at "file.ark:1234", or the one a file holds: float32 (float64 where it was double).

    Plain, compressed and text forms.

    Raises: UserError when the file is missing, cut short, or holds no matrix there.
    """
    path, offset = split_location(location)
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return checked_body(file, path, offset)
    except FileNotFoundError:
        raise UserError(f"{path}: no such archive (named in {location}); run the feature stage or correct feats.scp") from None


def split_location(location: str) -> tuple[str, int]:
    """"foo.ark:1234" -> ("foo.ark", 1234); without a number the start of the file."""
    match = LOCATION.fullmatch(location)
    if match is None:
        raise UserError("'': no location of a matrix; expected file.ark:offset")
    return match.group(1), int(match.group(2) or 0)


def read_ark(path: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Give (id, matrix) in the file's order.

    Raises: UserError with path and offset when the archive is cut short or is none.
    """
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such archive; check the path") from None
    with file:
        while (key := read_key(file, str(path))) is not None:
            yield key, checked_body(file, str(path), file.tell())


def read_key(file: IO[bytes], path: str) -> str | None:
    """Read up to the blank after an id; None at the end of the file."""
    start = file.tell()
    key = bytearray()
    while (byte := file.read(1)) not in (b" ", b"\t"):
        if not byte and not key.strip():
            return None
        if not byte or len(key) > 4096:
            raise UserError(f"{path}:{start}: no id and matrix here; the archive is cut short or is none: make it again")
        key += byte
    return key.strip().decode("utf-8", "replace")


def checked_body(file: IO[bytes], path: str, offset: int) -> np.ndarray:
    """Read a matrix from where the file stands, or tell where and why not."""
    try:
        return read_body(file)
    except Truncated:
        raise UserError(f"{path}:{offset}: cut short inside this matrix; make the archive again") from None
    except (ValueError, struct.error) as error:
        raise UserError(f"{path}:{offset}: no Kaldi matrix here ({error}); make the archive again") from None


def read_body(file: IO[bytes]) -> np.ndarray:
    """Read one matrix or vector: binary, compressed or text."""
    if (head := file.read(2)) != b"\0B":
        return read_text(head, file)
    kind = take(file, 3)
    if kind in COMPRESSED:
        return read_compressed(kind, file)
    if kind not in KINDS:
        raise ValueError(f"unknown type {kind!r}")
    dtype, dimensions = KINDS[kind]
    shape = []
    for _ in range(dimensions):
        mark, size = struct.unpack("<bi", take(file, 5))
        if mark != 4 or size < 0:
            raise ValueError("broken header")
        shape.append(size)
    values = np.frombuffer(take(file, int(np.prod(shape)) * int(dtype[2])), dtype=dtype)
    return values.reshape(shape).astype(dtype[1:])  # a copy, so that it can be changed


def take(file: IO[bytes], count: int) -> bytes:
    """Read exactly `count` bytes."""
    data = file.read(count)
    if len(data) < count:
        raise Truncated
    return data


def read_compressed(kind: bytes, file: IO[bytes]) -> np.ndarray:
    """Check that the compressed matrix is whole, then let kaldiio unpack it."""
    from kaldiio.matio import read_kaldi

    start = file.tell() - 5
    if kind != b"CM ":
        take(file, 1)
    _, _, rows, columns = struct.unpack("<ffii", take(file, 16))
    if rows < 0 or columns < 0:
        raise ValueError("broken header")
    sizes = {b"CM ": columns * (rows + 8), b"CM2": 2 * rows * columns, b"CM3": rows * columns}
    end = file.tell() + sizes[kind]
    take(file, sizes[kind])
    file.seek(start)
    matrix = np.array(read_kaldi(file), dtype=np.float32)
    file.seek(end)
    return matrix


def read_text(head: bytes, file: IO[bytes]) -> np.ndarray:
    """Read Kaldi's text form " [ 1 2\n 3 4 ]": more than one line makes a matrix."""
    line = head + file.readline()
    if not line.strip().startswith(b"["):
        raise ValueError("neither binary nor text")
    lines = [line.strip()[1:]]
    while b"]" not in lines[-1]:
        if not (line := file.readline()):
            raise Truncated
        lines.append(line)
    lines[-1] = lines[-1].split(b"]")[0]
    rows = [np.array(line.split(), dtype=np.float32) for line in lines if line.strip()]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("rows of different lengths")
    if len(lines) == 1:
        return rows[0] if rows else np.zeros(0, dtype=np.float32)
    return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)
