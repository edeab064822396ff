"""Which recordings a user means: files, folders, lists of paths, and a stream on stdin."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.io.blocks import spooled

STDIN = "-"
SUFFIXES = frozenset({
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".sph", ".aiff", ".aif", ".au", ".snd", ".w64", ".rf64", ".caf",
    ".m4a", ".mp4", ".aac", ".wma", ".amr", ".webm", ".mka",
})  # fmt: skip
"""What is taken out of a folder; a file that is named itself may be called anything."""


@dataclass(frozen=True)
class Input:
    """One recording. name: as the user sees it. place: of its output below the output folder, with its own suffix."""

    name: str
    place: Path

    @contextmanager
    def located(self) -> Iterator[str]:
        """Give the path to read; what comes on stdin lies in a temporary file as long as the body runs."""
        if self.name != STDIN:
            yield self.name
            return
        with spooled(sys.stdin.buffer, "stdin") as path:
            yield path


def find_inputs(words: list[str], listed: str | None = None) -> list[Input]:
    """Give the recordings that the words of a command line name, in order; of a folder all audio files, sorted.

    words: files, folders (searched to the bottom; names that begin with a point are left out), "-" for stdin.
    listed: a file of paths, one a line, or "-".

    Raises: UserError for a word that is no file or folder, a folder without audio, and for no input at all. What a
    list names is not looked at here: it is counted when it cannot be read.
    """
    if words.count(STDIN) + (listed == STDIN) > 1:
        raise UserError("stdin ('-') can be read once: as audio or as a list")
    found = [one for word in words for one in _of_word(word)]
    if listed is not None:
        found += [Input(path, Path(Path(path).name)) for path in _read_list(listed)]
    if not found:
        raise UserError("no audio given; name files or folders, '-' for stdin, or --list FILE")
    return found


def _of_word(word: str) -> list[Input]:
    path = Path(word)
    if word == STDIN:
        return [Input(STDIN, Path("stdin"))]
    if not path.exists():
        raise UserError(f"{word}: no such audio file")
    if not path.is_dir():
        return [Input(word, Path(path.name))]
    inside = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
    shown = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not shown:
        raise UserError(f"{word}: no audio file in this folder ({' '.join(sorted(SUFFIXES))}); name the files")
    shown.sort(key=lambda file: file.as_posix().encode())
    return [Input(str(file), file.relative_to(path)) for file in shown]


def _read_list(listed: str) -> list[str]:
    if listed != STDIN and not Path(listed).is_file():
        raise UserError(f"--list {listed}: no such file; give a file of paths, one a line, or '-'")
    data = sys.stdin.buffer.read() if listed == STDIN else Path(listed).read_bytes()
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        name = "stdin" if listed == STDIN else listed
        raise UserError(f"{name}:{line}: not UTF-8; convert the list with iconv") from None
    return [line.strip() for line in lines if line.strip()]


def output_paths(inputs: list[Input], folder: Path, suffix: str) -> list[Path]:
    """Name the output of every input below `folder`: its suffix replaced or, where two would be the same, kept.

    Raises: UserError when two inputs would still be written to the same file.
    """
    short = [folder / one.place.with_suffix(suffix) for one in inputs]
    times = Counter(short)
    paths = [
        path if times[path] == 1 else folder / one.place.with_name(one.place.name + suffix)
        for one, path in zip(inputs, short, strict=True)
    ]
    first: dict[Path, str] = {}
    for one, path in zip(inputs, paths, strict=True):
        if path in first:
            both = f"{first[path]} and {one.name}"
            raise UserError(f"--out: {both} would both be written to {path}; transcribe them apart")
        first[path] = one.name
    return paths
