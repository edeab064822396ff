"""Tensors on disk: safetensors only, so that loading never runs code; and the hash that names a checkpoint."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.io.files import REFUSED, atomic_path

# What makes a model give other outputs: weights, configuration, and the tokenizer's files.
HASHED = {".safetensors", ".bin", ".pt", ".json", ".yaml", ".model", ".txt"}


def save_weights(path: Path | str, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and a dictionary of strings as one safetensors file, atomically.

    Tensors may lie on any device and may share storage (tied embeddings): each name gets its own copy, as a state
    dictionary lists each name.

    Raises: UserError when the disk is full or the place cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    seen: set[int] = set()
    for name, tensor in plain.items():
        storage = tensor.untyped_storage().data_ptr()
        if storage in seen or tensor.untyped_storage().nbytes() != tensor.nbytes:
            plain[name] = tensor.clone()
        seen.add(storage)
    with atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, metadata=metadata)
        except SafetensorError as error:
            found = re.search(r"\(os error (\d+)\)", str(error))  # the library wraps the system's error in words
            code = int(found[1]) if found else 0
            if code not in REFUSED:
                raise
            raise UserError(f"{path}: cannot be written: {REFUSED[code]}") from error


def load_weights(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_weights` wrote: (name -> tensor on the CPU, metadata).

    Raises: UserError when the file is missing, cut short or not safetensors.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such weights file; check the path or train first")
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); copy or train it again") from None


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

