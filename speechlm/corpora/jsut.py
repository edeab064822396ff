"""Japanese sentences read by one speaker: JSUT (1711.00354)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance

SPEAKER = "jsut"


class JsutCorpus(Corpus):
    """Ten hours of Japanese by one speaker; a split is a part of the corpus, as basic5000.

    The published tree: `jsut_ver1.1/basic5000/{transcript_utf8.txt,wav/BASIC5000_0001.wav}`.
    """

    url = "https://sites.google.com/site/shinnosuketakamichi/publication/jsut"
    splits = ("basic5000",)

    @property
    def root(self) -> Path:
        """The tree itself: the folder given or `jsut_ver1.1` in it."""
        inner = self.folder / "jsut_ver1.1"
        return inner if inner.is_dir() else self.folder

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the sentences of a part."""
        self.need(self.root)
        self.check_split(split, sorted(path.parent.name for path in self.root.glob("*/transcript_utf8.txt")))
        table = self.root / split / "transcript_utf8.txt"
        for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
            name, mark, text = line.partition(":")
            if not mark or not text:
                raise UserError(f"{table}:{number}: must be 'id:sentence', is '{line}'")
            path = table.parent / "wav" / f"{name}.wav"
            if path.exists():
                yield Utterance(f"{SPEAKER}-{name}", SPEAKER, str(path), text, gender="f")
            else:
                self.drop("without audio")
