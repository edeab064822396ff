"""Sentences read by volunteers in many languages: Mozilla Common Voice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance

SPEAKER_LENGTH = 20


class CommonvoiceCorpus(Corpus):
    """Read sentences of one language; the splits are the publisher's train.tsv, dev.tsv and test.tsv.

    The published tree: `cv-corpus-17.0-2024-03-15/ja/{train,dev,test}.tsv` and `clips/*.mp3`; other tables (validated,
    invalidated, other) can be asked for as splits. Lines without clip or sentence are left out and counted.

    Options:
        locale: folder of the language, as ja or zh-TW; not needed where the tables lie in the corpus's folder itself.
    """

    url = "https://commonvoice.mozilla.org/datasets"

    def __init__(self, folder: Path, *, locale: str = "") -> None:
        super().__init__(folder)
        self.root = folder / locale

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the sentences of a table; a speaker is the beginning of the publisher's client id."""
        self.need(self.root)
        self.check_split(split, sorted(path.stem for path in self.root.glob("*.tsv")))
        place = self.root / f"{split}.tsv"
        lines = place.read_text(encoding="utf-8").split("\n")
        names = lines[0].rstrip("\r").split("\t")
        missing = {"client_id", "path", "sentence"} - set(names)
        if missing:
            raise UserError(f"{place}:1: no column {', '.join(sorted(missing))}; is it a table of Common Voice?")
        for number, line in enumerate(lines[1:], start=2):
            if not line.strip():
                continue
            fields = line.rstrip("\r").split("\t")
            if len(fields) < len(names) - 1:
                raise UserError(f"{place}:{number}: {len(fields)} columns, the first line has {len(names)}")
            yield from self._line(dict(zip(names, fields, strict=False)))

    def _line(self, row: dict[str, str]) -> Iterator[Utterance]:
        clip = self.root / "clips" / (row["path"] if row["path"].endswith(".mp3") else f"{row['path']}.mp3")
        text = " ".join(row["sentence"].split())
        if not text:
            self.drop("without sentence")
        elif not clip.exists():
            self.drop("without clip")
        else:
            speaker = row["client_id"][:SPEAKER_LENGTH]
            gender = {"male": "m", "female": "f"}.get(row.get("gender", "").split("_")[0], "")
            yield Utterance(f"{speaker}-{clip.stem}", speaker, str(clip), text, gender=gender)
