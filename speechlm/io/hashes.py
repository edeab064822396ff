"""The hash that names a checkpoint; no torch here, so that stages which only compare hashes start at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from speechlm.core.errors import UserError

# What makes a model give other outputs: weights, configuration, and the tokenizer's files.
HASHED = {".safetensors", ".bin", ".pt", ".json", ".yaml", ".model", ".txt"}


def content_hash(path: Path | str) -> str:
    """Hash a checkpoint: sha256 over a file, or over the weights, configuration and tokenizer files of a folder.

    The names of the files count, the folder's own name and its place do not. Hexadecimal.
    """
    place = Path(path)
    if place.is_file():
        return file_hash(place)
    files = sorted(file for file in place.rglob("*") if file.is_file() and file.suffix in HASHED)
    if not files:
        raise UserError(f"{path}: no checkpoint there (no weights, no configuration); check the path")
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(place).as_posix()}\0{file_hash(file)}\n".encode())
    return total.hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, hexadecimal, in constant memory."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

