"""Kaldi's forms of one matrix or vector: binary floats, compressed, and text."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import IO

import numpy as np

PLAIN = {b"FM ": ("<f4", 2), b"DM ": ("<f8", 2), b"FV ": ("<f4", 1), b"DV ": ("<f8", 1)}
COMPRESSED = (b"CM ", b"CM2", b"CM3")
LARGE = 1 << 26


class Truncated(Exception):
    """The file ends inside a matrix."""


@dataclass(frozen=True)
class Header:
    """What stands before the values: the type, the shape, and how many bytes follow."""

    kind: bytes
    shape: tuple[int, ...]
    size: int


def take(file: IO[bytes], count: int) -> bytes:
    """Read exactly `count` bytes. Raises: Truncated."""
    if count > LARGE:  # a broken header may name more bytes than there is memory
        here, end = file.tell(), file.seek(0, os.SEEK_END)
        file.seek(here)
        if count > end - here:
            raise Truncated
    data = file.read(count)
    if len(data) < count:
        raise Truncated
    return data


def read_header(file: IO[bytes]) -> Header:
    """Read the header of a binary matrix, after its mark. Raises: ValueError, Truncated."""
    kind = take(file, 3)
    if kind in COMPRESSED:
        take(file, 0 if kind == b"CM " else 1)
        _, _, rows, columns = struct.unpack("<ffii", take(file, 16))
        shape: tuple[int, ...] = (rows, columns)
        size = {b"CM ": columns * (rows + 8), b"CM2": 2 * rows * columns, b"CM3": rows * columns}[kind]
    elif kind in PLAIN:
        dtype, dimensions = PLAIN[kind]
        fields = [struct.unpack("<bi", take(file, 5)) for _ in range(dimensions)]
        if any(mark != 4 for mark, _ in fields):
            raise ValueError("broken header")
        shape = tuple(count for _, count in fields)
        size = math.prod(shape) * int(dtype[2])
    else:
        raise ValueError(f"unknown type {kind!r}")
    if min(shape) < 0:
        raise ValueError("broken header")
    return Header(kind, shape, size)


def is_binary(file: IO[bytes]) -> bool:
    """Look at the mark of binary data and step over it; text is left where it begins."""
    if file.read(2) == b"\0B":
        return True
    file.seek(-min(2, file.tell()), os.SEEK_CUR)
    return False


def read_shape(file: IO[bytes]) -> tuple[int, ...]:
    """Read a shape without the values, but see that they are all there. Raises: ValueError, Truncated."""
    if not is_binary(file):
        return read_text(file).shape
    header = read_header(file)
    if file.tell() + header.size > os.fstat(file.fileno()).st_size:
        raise Truncated
    return header.shape


def read_values(file: IO[bytes]) -> np.ndarray:
    """Read one matrix or vector: float32, float64 where it was double. Raises: ValueError, Truncated."""
    if not is_binary(file):
        return read_text(file)
    start = file.tell() - 2
    header = read_header(file)
    data = take(file, header.size)
    if header.kind in COMPRESSED:
        return unpack(file, start)
    dtype = PLAIN[header.kind][0]
    return np.frombuffer(data, dtype=dtype).reshape(header.shape).astype(dtype[1:])  # a copy that can be changed


def unpack(file: IO[bytes], start: int) -> np.ndarray:
    """Let kaldiio unpack the compressed matrix at `start`; the file stands behind it afterwards."""
    from kaldiio.matio import read_kaldi

    end = file.tell()
    file.seek(start)
    matrix = np.array(read_kaldi(file), dtype=np.float32)
    file.seek(end)
    return matrix


def read_text(file: IO[bytes]) -> np.ndarray:
    """Read Kaldi's text form " [ 1 2\\n 3 4 ]": with a line end inside the brackets it is a matrix."""
    line = file.readline()
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


def write_values(file: IO[bytes], matrix: np.ndarray, compress: int = 0) -> None:
    """Write a matrix or vector in binary form: double stays double, all else becomes float."""
    if compress and matrix.ndim == 2 and matrix.size:
        from kaldiio.matio import write_array

        write_array(file, np.asarray(matrix, dtype=np.float32), compression_method=compress)
        return
    letter, dtype = (b"D", "<f8") if matrix.dtype == np.float64 else (b"F", "<f4")
    sizes = b"".join(b"\4" + struct.pack("<i", size) for size in matrix.shape)
    file.write(b"\0B" + letter + (b"M " if matrix.ndim == 2 else b"V ") + sizes)
    if matrix.size:  # an empty array has no buffer to write
        file.write(np.ascontiguousarray(matrix, dtype=dtype).data)


def text_of(matrix: np.ndarray) -> str:
    """Kaldi's text form, with the digits that give the same number back."""
    rows = [" ".join(np.format_float_positional(value, trim="-") for value in row) for row in np.atleast_2d(matrix)]
    return " [\n  " + "\n  ".join(rows) + " ]\n" if matrix.ndim == 2 else f" [ {rows[0]} ]\n"
