"""NIST's time marks (CTM), a line a word: utterance, channel, start, duration, word, confidence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from speechlm.io.files import atomic_open

Row = tuple[str, float, float, float]
"""Word, start and duration in seconds, confidence from 0 to 1."""


def write_ctm(path: Path | str, utterances: Iterable[tuple[str, list[Row] | str]]) -> None:
    """Write (id, words in order of time) one utterance after another; the channel is 1.

    In the place of the words may stand why an utterance has none; it becomes a comment (";;", as sclite reads it).
    """
    with atomic_open(path) as file:
        for utt, rows in utterances:
            if isinstance(rows, str):
                file.write(f";; {utt}: {rows}\n")
                continue
            file.writelines(
                f"{utt} 1 {start:.3f} {seconds:.3f} {word} {confidence:.4f}\n"
                for word, start, seconds, confidence in rows
            )
