"""Noise, music and speech to add to training audio, or sound without words: MUSAN (OpenSLR 17, 1510.08484)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.download import Archive

CHECKSUM = "md5:0c472d4fc0c5141eca47ad1ffeb2a7df"


class MusanCorpus(Corpus):
    """Sounds with empty transcripts: 6 hours of noise, 42 of music, and 60 of speech in many languages.

    The published tree: `musan/noise/free-sound/noise-free-sound-0000.wav`. A split is a kind of sound; noise and music
    are made unless told otherwise (speech has words, though no transcript).

    Options:
        mirror: where the archive is downloaded from.
    """

    url = "https://www.openslr.org/17"
    splits = ("noise", "music")
    empty_text = True

    def __init__(self, folder: Path, *, mirror: str = "https://www.openslr.org/resources") -> None:
        super().__init__(folder)
        self.mirror = mirror

    def archives(self) -> list[Archive]:
        """List the one archive (11 GB)."""
        return [Archive(f"{self.mirror}/17/musan.tar.gz", CHECKSUM, "musan/noise")]

    @property
    def root(self) -> Path:
        """The tree itself: the folder given or `musan` in it."""
        inner = self.folder / "musan"
        return inner if inner.is_dir() else self.folder

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the sounds of a kind, each its own speaker."""
        self.check_split(split, ("noise", "music", "speech"))
        for path in sorted(self.need(self.root / split).glob("*/*.wav")):
            yield Utterance(path.stem, path.stem, str(path), "")
