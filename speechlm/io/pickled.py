"""Checkpoints published as pytorch_model.bin to safetensors: read once with torch's closed list of types, never run."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.io.files import atomic_dir, atomic_open
from speechlm.io.weights import save_weights

LOGGER = logging.getLogger(__name__)

WHOLE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
COPIED = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".vocab", ".spm", ".md", "")
"""Endings of what goes along: configuration, tokenizer, licence (no ending). No code, and no weights of other kinds."""
POINTER = b"version https://git-lfs"


def convert(source: Path, target: Path, *, max_shard_bytes: int) -> list[str]:
    """Write the checkpoint in `source` as safetensors into `target`, which appears whole or not at all; give the names.

    Every tensor keeps its name, type and values. Tensors that share memory (tied embeddings) get a copy each, as
    safetensors wants; a model that ties them does so again when it is loaded. Of the files a shard at a time is in memory.

    max_shard_bytes: a file of more is split, with an index, where a single tensor is not larger.

    Raises: UserError when there is nothing to convert, a file is cut short, holds more than tensors, or does not fit
    the index, or when `target` is there already.
    """
    if not (source / "config.json").is_file():
        raise UserError(f"{source}: no config.json; give the folder of a checkpoint in Hugging Face's layout")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target}: is there already; give another folder with --out or remove it")
    expected = shards_of(source)
    with atomic_dir(target) as folder:
        for path in sorted(source.iterdir()):
            if path.is_file() and path.suffix in COPIED and not path.name.startswith("."):
                if not path.name.endswith((".bin.index.json", ".safetensors.index.json", ".msgpack.index.json")):
                    shutil.copyfile(path, folder / path.name)
            elif path.name not in expected:
                LOGGER.info("%s: stays behind", path)
        writer = _Writer(folder, max_shard_bytes)
        for name, wanted in expected.items():
            found = set()
            for key, tensor in tensors_of(source / name):
                writer.add(key, tensor, source / name)
                found.add(key)
            if lacking := sorted(wanted - found):
                raise UserError(
                    f"{source / INDEX}: says that {name} holds {lacking[0]}, but it does not; copy it again"
                )
        return writer.close()


def shards_of(source: Path) -> dict[str, set[str]]:
    """Name the files of weights, each with the tensors that the index promises in it (none without an index)."""
    if not (source / INDEX).is_file():
        if (source / WHOLE).is_file():
            return {WHOLE: set()}
        hint = "; it holds safetensors, use it as it is" if any(source.glob("*.safetensors")) else ""
        raise UserError(f"{source}: neither {WHOLE} nor {INDEX} is here{hint}")
    try:
        places = json.loads((source / INDEX).read_text(encoding="utf-8"))["weight_map"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{source / INDEX}: not an index (JSON with 'weight_map'); copy it again") from None
    shards: dict[str, set[str]] = {}
    for tensor, file in places:
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".bin"):
            raise UserError(f"{source / INDEX}: {file!r} is not the name of a .bin file of this folder")
        shards.setdefault(file, set()).add(tensor)
    for file in shards:
        if not (source / file).is_file():
            raise UserError(f"{source / file}: no such file, but {INDEX} names it; copy it too")
    return dict(sorted(shards.items()))


def tensors_of(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Give the named tensors of one pickled file, mapped from the disk where its format allows.

    Raises: UserError for a file that is none, is damaged, or holds anything but tensors.
    """
    with open(path, "rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise UserError(f"{path}: a pointer of Git LFS, not the weights; fetch them with git lfs pull")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        why = str(error).split("Check the documentation")[0].strip().splitlines()[-1][:200]  # before it: general advice
        raise UserError(f"{path}: refused: more than tensors, or damaged ({why}); loading it could run code") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cut short or no file of torch.save ({why}); copy it again") from None
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path}: holds a {type(state).__name__}, not a dictionary of named tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(f"{path}: {name!r} is a {type(tensor).__name__}, not a tensor; only weights are converted")
        yield name, tensor


@dataclass
class _Writer:
    """Collects tensors into files of at most `limit` bytes; their number, which is part of their names, comes last."""

    folder: Path
    limit: int
    waiting: dict[str, Tensor] = field(default_factory=dict)
    place: dict[str, int] = field(default_factory=dict)
    size: int = 0
    total: int = 0
    count: int = 0

    def add(self, name: str, tensor: Tensor, origin: Path) -> None:
        """Take one tensor."""
        if name in self.place:
            raise UserError(f"{origin}: {name} stands in another file too; the checkpoint is not whole, copy it again")
        if self.waiting and self.size + tensor.nbytes > self.limit:
            self.flush()
        self.waiting[name] = tensor
        self.place[name] = self.count
        self.size += tensor.nbytes
        self.total += tensor.nbytes

    def flush(self) -> None:
        """Write what waits."""
        save_weights(self.folder / f"{self.count}.safetensors", self.waiting, {"format": "pt"})
        LOGGER.info("%d tensors, %.2f GB written", len(self.place), self.total / 1e9)
        self.waiting, self.size, self.count = {}, 0, self.count + 1

    def close(self) -> list[str]:
        """Write the rest, give the files the names that transformers looks for, and the index where there are several."""
        self.flush()
        names = [f"model-{n + 1:05d}-of-{self.count:05d}.safetensors" for n in range(self.count)]
        if self.count == 1:
            names = ["model.safetensors"]
        for n, name in enumerate(names):
            (self.folder / f"{n}.safetensors").rename(self.folder / name)
        if self.count > 1:
            index = {
                "metadata": {"total_size": self.total},
                "weight_map": {tensor: names[n] for tensor, n in sorted(self.place.items())},
            }
            with atomic_open(self.folder / "model.safetensors.index.json") as file:
                json.dump(index, file, indent=2)
        return names
