"""What a teacher said, kept on disk in 16 bit: the same input is given to the model once, in all trainings together."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.core.seq import Seq


class Lesson(NamedTuple):
    """What one utterance gives to a teacher: token ids, where the transcript's pieces start, and each word's pieces."""

    ids: list[int]
    start: int
    words: list[list[int]]


Say = Callable[[Sequence[Lesson], torch.device], list[Seq]]
"""Lessons to K layers, each (B, W, D)."""


@dataclass(frozen=True)
class _Entry:
    """Where an utterance's (K, W, D) lies."""

    file: str
    offset: int
    shape: tuple[int, int, int]


class TeacherStore:
    """Stands in front of a teacher's model and asks it for what it has not said yet.

    An entry is found by the hash of all that it depends on: `key` (weights and options of the teacher), token ids and
    words. So another transcript, context, tokenizer or teacher can never be given old vectors. Every process appends to
    files of its own, vectors first and their index line after them: a killed process leaves whole entries only, and any
    number of trainings share a folder. What comes back is rounded to 16 bit from the first time on; vectors that
    16 bit cannot hold are not kept.
    """

    def __init__(self, say: Say, folder: Path | str, key: str) -> None:
        self.say, self.folder, self.key = say, Path(folder), key
        self.entries: dict[str, _Entry] = {}
        self.stem = f"{int(time.time() * 1000):x}-{os.getpid()}"
        self.asked = self.known = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"teachers.store: {folder}: cannot be made ({error.strerror}); give another folder") from None
        for path in sorted(self.folder.glob("*.index")):
            self._read_index(path)

    def __call__(self, lessons: Sequence[Lesson], device: torch.device) -> list[Seq]:
        """Give the K layers of all lessons; those that are not known are said and kept."""
        names = [self._name(lesson) for lesson in lessons]
        missing = [i for i, name in enumerate(names) if name not in self.entries]
        self.asked, self.known = self.asked + len(names), self.known + len(names) - len(missing)
        new: dict[int, Tensor] = {}
        if missing:
            layers = self.say([lessons[i] for i in missing], device)
            rows = zip(*(layer.rows() for layer in layers), strict=True)
            new = {i: torch.stack(row).half() for i, row in zip(missing, rows, strict=True)}
            self._append({names[i]: vectors for i, vectors in new.items()})
        found = [new[i] if i in new else self._read(self.entries[name]).to(device) for i, name in enumerate(names)]
        return [Seq.of([vectors[k].float() for vectors in found]) for k in range(len(found[0]))]

    def _name(self, lesson: Lesson) -> str:
        return hashlib.sha256(json.dumps([self.key, *lesson]).encode()).hexdigest()[:32]

    def _append(self, entries: dict[str, Tensor]) -> None:
        """Write vectors, then the index lines that make them known."""
        lines = []
        with open(self.folder / f"{self.stem}.f16", "ab") as file:
            for name, vectors in entries.items():
                if not vectors.isfinite().all():
                    continue
                entry = _Entry(f"{self.stem}.f16", file.tell(), (vectors.shape[0], vectors.shape[1], vectors.shape[2]))
                file.write(vectors.cpu().numpy().tobytes())
                self.entries[name] = entry
                lines.append(f"{name} {entry.file} {entry.offset} {' '.join(map(str, entry.shape))}\n")
        with open(self.folder / f"{self.stem}.index", "a", encoding="utf-8") as file:
            file.writelines(lines)

    def _read_index(self, path: Path) -> None:
        """Take over an index; a line that was cut is left out."""
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            fields = line.split()
            if line.endswith("\n") and len(fields) == 6:
                k, words, width = map(int, fields[3:])
                self.entries[fields[0]] = _Entry(fields[1], int(fields[2]), (k, words, width))

    def _read(self, entry: _Entry) -> Tensor:
        size = int(np.prod(entry.shape))
        with open(self.folder / entry.file, "rb") as file:
            values = np.fromfile(file, dtype=np.float16, count=size, offset=entry.offset)
        if len(values) < size:
            raise UserError(f"{self.folder / entry.file}: shorter than its index says; remove {self.folder}")
        return torch.from_numpy(values.reshape(entry.shape))
