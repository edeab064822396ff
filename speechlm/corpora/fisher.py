"""English telephone conversations, 2,000 hours: Fisher (LDC2004S13 and T19, LDC2005S13 and T19)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.hub5 import Turn
from speechlm.corpora.swbd import files_below
from speechlm.corpora.swbd_text import fisher_words

LINE = re.compile(r"([\d.]+) ([\d.]+) ([AB]):\s?(.*)")


class FisherCorpus(Corpus):
    """Telephone conversations to train on beside Switchboard, in one split, `fisher`.

    LDC's trees in --corpus_dir or in `more`: `audio/000/fe_03_00001.sph` and `data/trans/000/fe_03_00001.txt` (or
    `bbn_orig/…/auto-segmented/*.txt` of the same form). Lines with a part that was not understood are left out.

    Options:
        more: further folders with parts of the corpus.
    """

    url = "https://catalog.ldc.upenn.edu/LDC2004S13"
    splits = ("fisher",)

    def __init__(self, folder: Path, *, more: list[str] = []) -> None:  # noqa: B006
        super().__init__(folder)
        self.folders = [folder, *map(Path, more)]
        for place in self.folders:
            self.need(place)

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List all utterances; a side is a speaker."""
        self.check_split(split, self.splits)
        audio = {path.stem: path for path in files_below(self.folders, ".sph")}
        tables = [path for path in files_below(self.folders, ".txt") if path.stem.startswith("fe_03_")]
        if not tables:
            raise UserError(f"{self.folder}: no trans/*/fe_03_*.txt; give the transcripts' folder with --more")
        for table in tables:
            if table.stem not in audio:
                self.drop("conversations without audio")
                continue
            yield from self._conversation(table, audio[table.stem])

    def _conversation(self, table: Path, audio: Path) -> Iterator[Utterance]:
        for number, line in enumerate(table.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            found = LINE.fullmatch(line.strip())
            if not found:
                raise UserError(f"{table}:{number}: must be 'start end A: words', is '{line}'")
            turn = Turn(table.stem, found.group(3), "", float(found.group(1)), float(found.group(2)), found.group(4))
            text = fisher_words(turn.words)
            if text is None:
                self.drop("not understood")
            elif not text or turn.end <= turn.start:
                self.drop("without words")
            else:
                speaker = f"{turn.file}-{'AB'[turn.side]}"
                yield Utterance(turn.id, speaker, str(audio), text, turn.start, turn.end, turn.file, turn.side)
