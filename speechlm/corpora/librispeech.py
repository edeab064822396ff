"""LibriSpeech: 1,000 hours of read English audiobooks (OpenSLR 12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.download import Archive
from speechlm.io.tables import read_table


@dataclass(frozen=True)
class Subset:
    """A published part: number of utterances and md5 of its archive."""

    count: int
    md5: str


SUBSETS = {
    "train-clean-100": Subset(28539, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": Subset(104014, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": Subset(148688, "d1a0fd59409feb2c614ce4d30c387708"),
    "dev-clean": Subset(2703, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": Subset(2864, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": Subset(2620, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": Subset(2939, "fb5a50374b501bb3bac4815ee91d3135"),
}
TRAINING = {100: ["train-clean-100"], 460: ["train-clean-100", "train-clean-360"]}
TRAINING[960] = [*TRAINING[460], "train-other-500"]


class LibrispeechCorpus(Corpus):
    """Read English audiobooks, 100, 460 or 960 hours to train on.

    The published tree: `SPEAKERS.TXT`, `dev-clean/84/121123/84-121123.trans.txt` with flac files beside it. Splits are
    train (of the hours chosen), dev (dev-clean and dev-other together), test_clean and test_other; dev_clean and
    dev_other can be asked for.

    Options:
        hours: training hours; 100 and 460 are clean speech only.
        allow_partial: accept another number of utterances than the complete corpus has.
        mirror: where the archives are downloaded from.
    """

    url = "https://www.openslr.org/12"
    splits = ("train", "dev", "test_clean", "test_other")

    def __init__(
        self,
        folder: Path,
        *,
        hours: Literal[100, 460, 960] = 100,
        allow_partial: bool = False,
        mirror: str = "https://www.openslr.org/resources",
    ) -> None:
        super().__init__(folder)
        self.allow_partial, self.mirror = allow_partial, mirror
        self.parts: dict[str, list[str]] = {"train": TRAINING[hours], "dev": ["dev-clean", "dev-other"]}
        self.parts |= {name.replace("-", "_"): [name] for name in SUBSETS if not name.startswith("train")}

    def archives(self) -> list[Archive]:
        """List the archives of the default splits (6 GB for 100 hours of training, 60 GB for all)."""
        names = [name for split in self.splits for name in self.parts[split]]
        return [
            Archive(f"{self.mirror}/12/{name}.tar.gz", f"md5:{SUBSETS[name].md5}", f"LibriSpeech/{name}")
            for name in names
        ]

    def expected(self, split: str) -> int | None:
        """Give the published number of utterances."""
        if self.allow_partial or split not in self.parts:
            return None
        return sum(SUBSETS[name].count for name in self.parts[split])

    @property
    def root(self) -> Path:
        """The tree itself: the folder given or `LibriSpeech` in it."""
        inner = self.folder / "LibriSpeech"
        return inner if inner.is_dir() else self.folder

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the utterances of a split; the reader is the speaker."""
        self.check_split(split, self.parts)
        genders = read_genders(self.need(self.root / "SPEAKERS.TXT"))
        for name in self.parts[split]:
            for table in sorted(self.need(self.root / name).glob("*/*/*.trans.txt")):
                reader = table.parent.parent.name
                if reader not in genders:
                    raise UserError(
                        f"{self.root}/SPEAKERS.TXT: has no reader {reader}, whose {table.name} is in {name}"
                    )
                yield from self._chapter(table, reader, genders[reader])

    def _chapter(self, table: Path, reader: str, gender: str) -> Iterator[Utterance]:
        texts = read_table(table)
        for path in sorted(table.parent.glob("*.flac")):
            if path.stem not in texts:
                self.drop("without transcript")
        for utt, text in texts.items():
            path = table.parent / f"{utt}.flac"
            if path.exists():
                yield Utterance(utt, reader, str(path), text, gender=gender)
            else:
                self.drop("without audio")


def read_genders(path: Path) -> dict[str, str]:
    """Read `SPEAKERS.TXT`: reader -> m or f. Lines that begin with ; are comments."""
    genders = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith(";"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) < 4 or fields[1] not in ("F", "M"):
            raise UserError(
                f"{path}:{number}: must be 'reader | F or M | subset | minutes | name', is '{line.strip()}'"
            )
        genders[fields[0]] = fields[1].lower()
    return genders
