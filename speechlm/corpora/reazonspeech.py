"""Japanese television: ReazonSpeech, from 8.5 to 35,000 hours (reazon-research/reazonspeech on the Hugging Face hub)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance

SIZES = ("tiny", "small", "medium", "large", "all")


class ReazonspeechCorpus(Corpus):
    """Clips of Japanese broadcasts with subtitles; a split is one of the publisher's sizes: tiny, small, medium, large, all.

    The published tree, its archives unpacked: a table `tsv/<size>.tsv` (or `<size>.tsv`) with lines `000/<name>.flac`, tab,
    transcript; the clips below `data/` or beside the table. Clips that are not there, and lines without transcript, are
    left out and counted. Nobody says who speaks: every clip is a speaker of its own. There is no published test set.
    """

    url = "https://huggingface.co/datasets/reazon-research/reazonspeech"
    splits = ("tiny",)

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the clips of a size."""
        self.check_split(split, SIZES)
        table = next(
            (p for p in self._places(f"{split}.tsv", "tsv") if p.exists()), self.folder / "tsv" / f"{split}.tsv"
        )
        self.need(table)
        with open(table, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                name, mark, text = line.rstrip("\r\n").partition("\t")
                if not mark or not name.endswith(".flac"):
                    raise UserError(
                        f"{table}:{number}: must be 'name.flac', a tab and the transcript, is '{line[:80].strip()}'"
                    )
                audio = next((place for place in self._places(name, "data") if place.exists()), None)
                if not text.strip():
                    self.drop("without transcript")
                elif audio is None:
                    self.drop("without audio")
                else:
                    clip = name.removesuffix(".flac").replace("/", "-")
                    yield Utterance(clip, clip, str(audio), text.strip())

    def _places(self, name: str, folder: str) -> tuple[Path, Path]:
        return self.folder / folder / name, self.folder / name
