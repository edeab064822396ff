"""AISHELL-1: 178 hours of read Mandarin by 400 speakers (OpenSLR 33, 1709.05522)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.download import Archive, unpack
from speechlm.io.tables import read_table
from speechlm.text.normalize import normalize

COUNTS = {"train": 120098, "dev": 14326, "test": 7176}
CHECKSUM = "md5:2f494334227864a8a8fec932999db9d8"


class AishellCorpus(Corpus):
    """Read Mandarin sentences: 120,098 utterances to train on, 14,326 and 7,176 for development and test.

    The published tree: `wav/{train,dev,test}/S0002/*.wav` or the 400 speaker archives `wav/S0002.tar.gz`, and
    `transcript/aishell_transcript_v0.8.txt`. Recordings without a transcript (325 of 141,925 in the published corpus)
    are left out and counted.

    Options:
        allow_partial: accept another number of utterances than the complete corpus has.
        mirror: where the archive is downloaded from.
    """

    url = "https://www.openslr.org/33"

    def __init__(
        self, folder: Path, *, allow_partial: bool = False, mirror: str = "https://www.openslr.org/resources"
    ) -> None:
        super().__init__(folder)
        self.allow_partial, self.mirror = allow_partial, mirror

    def archives(self) -> list[Archive]:
        """List the one archive (15 GB)."""
        return [Archive(f"{self.mirror}/33/data_aishell.tgz", CHECKSUM, "data_aishell/transcript")]

    def expected(self, split: str) -> int | None:
        """Give the published number of utterances."""
        return None if self.allow_partial else COUNTS.get(split)

    @property
    def root(self) -> Path:
        """The tree itself: the folder given or `data_aishell` in it."""
        inner = self.folder / "data_aishell"
        return inner if inner.is_dir() else self.folder

    def unpack_speakers(self) -> None:
        """Unpack the speakers' archives that are not unpacked yet."""
        done = self.root / "wav" / ".unpacked"
        waiting = [path for path in sorted((self.root / "wav").glob("*.tar.gz")) if not (done / path.name).exists()]
        for path in progress(waiting, total=len(waiting), what="unpack speakers", unit="speaker") if waiting else []:
            unpack(path, self.root / "wav")
            done.mkdir(exist_ok=True)
            (done / path.name).touch()

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the utterances of a split, with word boundaries removed from the transcripts."""
        self.check_split(split, COUNTS)
        transcripts = read_table(self.need(self.root / "transcript" / "aishell_transcript_v0.8.txt"))
        self.need(self.root / "wav")
        self.unpack_speakers()
        for path in sorted(self.need(self.root / "wav" / split).glob("*/*.wav")):
            text = transcripts.get(path.stem, "")
            if not text:
                self.drop("without transcript")
                continue
            speaker = path.parent.name
            if speaker not in path.stem:
                raise UserError(f"{path}: the name does not hold the speaker {speaker}; is the tree as published?")
            # Kaldi wants an utterance id to begin with its speaker: BAC009S0002W0122 is of BAC009S0002.
            prefix = path.stem[: path.stem.index(speaker) + len(speaker)]
            yield Utterance(path.stem, prefix, str(path), normalize(text, "zh"))
