"""Tensors on disk: safetensors only, so that loading never runs code; and the hash that names a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.io.files import REFUSED, atomic_path


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
