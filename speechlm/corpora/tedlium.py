"""English talks: TED-LIUM 3 (OpenSLR 51, 1805.04699), and releases 1 and 2 in their own trees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.download import Archive

CHECKSUM = "sha256:ad1e454d14d1ad550bc2564c462d87c7a7ec83d4dc2b9210f22ab4973b9eccdb"
IGNORED = "ignore_time_segment_in_scoring"


class TedliumCorpus(Corpus):
    """English talks with segments, 452 hours to train on, and the development and test talks of all releases.

    The published tree: `legacy/{train,dev,test}/{sph,stm}` (the distribution whose dev and test are those of release 2)
    or, in releases 1 and 2, `{train,dev,test}/{sph,stm}`. A speaker is a talk. Segments that the publisher excludes
    from scoring are left out and counted.

    Options:
        mirror: where the archive is downloaded from.
    """

    url = "https://www.openslr.org/51"

    def __init__(self, folder: Path, *, mirror: str = "https://www.openslr.org/resources") -> None:
        super().__init__(folder)
        self.mirror = mirror

    def archives(self) -> list[Archive]:
        """List the one archive (50 GB)."""
        return [Archive(f"{self.mirror}/51/TEDLIUM_release-3.tgz", CHECKSUM, "TEDLIUM_release-3/legacy")]

    @property
    def root(self) -> Path:
        """The folder that holds train, dev and test."""
        for inner in ("TEDLIUM_release-3/legacy", "legacy", "TEDLIUM_release2", "TEDLIUM_release1"):
            if (self.folder / inner).is_dir():
                return self.folder / inner
        return self.folder

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the segments of a split."""
        self.check_split(split, self.splits)
        for table in sorted(self.need(self.root / split / "stm").glob("*.stm")):
            audio = self.need(self.root / split / "sph" / f"{table.stem}.sph")
            for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
                if line.strip() and not line.startswith(";;"):
                    yield from self._segment(line, f"{table}:{number}", audio)

    def _segment(self, line: str, place: str, audio: Path) -> Iterator[Utterance]:
        fields = line.split(None, 6)
        try:
            talk, start, end = fields[0], float(fields[3]), float(fields[4])
        except (IndexError, ValueError):
            raise UserError(f"{place}: must be 'talk channel speaker start end <label> words', is '{line}'") from None
        text = join_endings(fields[6]) if len(fields) > 6 else ""
        if text == IGNORED or not text:
            self.drop("not for scoring" if text else "without words")
        elif end <= start:
            self.drop("without length")
        else:
            name = f"{talk}-{round(100 * start):07d}-{round(100 * end):07d}"
            yield Utterance(name, talk, str(audio), text, start, end, talk)


def join_endings(words: str) -> str:
    """Join what the transcripts part (`i 'm` -> `i'm`) and remove noise marks and numbers of pronunciations."""
    words = re.sub(r"\{[^}]*\}|\(\d+\)", "", words)
    return " ".join(words.split()).replace(" '", "'")
