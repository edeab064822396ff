"""A pack of Kaldi data directories whose audio paths are relative to the pack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Corpus, Utterance
from speechlm.io.datadir import DataDir


class KaldiCorpus(Corpus):
    """Kaldi data directories `data/<split>` (or `<split>`) in one folder, with paths relative to that folder."""

    url = "a folder with data/<split>/{wav.scp,text,utt2spk}"

    def split_dirs(self) -> dict[str, Path]:
        """Find the data directories: split -> folder; a folder that is one itself is the split "all"."""
        root = self.folder / "data" if (self.folder / "data").is_dir() else self.folder
        if (root / "wav.scp").exists():
            return {"all": root}
        return {path.parent.name: path.parent for path in sorted(root.glob("*/wav.scp"))}

    def utterances(self, split: str) -> Iterator[Utterance]:
        """Read a data directory; relative paths are taken from the pack's folder."""
        self.need(self.folder)
        found = self.split_dirs()
        self.check_split(split, found)
        yield from read_data_dir(found[split], self.folder)


def read_data_dir(folder: Path, root: Path) -> Iterator[Utterance]:
    """List the utterances of a data directory. Relative paths start at `root`, pipes stay as they are.

    Without utt2spk every utterance is its own speaker. Raises UserError if wav.scp or text is missing.
    """
    data = DataDir(folder)
    if data.wav_scp is None or data.text is None:
        missing = "wav.scp" if data.wav_scp is None else "text"
        raise UserError(f"{folder}/{missing}: no such file; a data directory needs wav.scp and text")
    for utt in data.ids():
        if utt not in data.text:
            raise UserError(f"{folder}/text: no line for utterance '{utt}'; add it or remove the utterance")
        part = data.segment(utt)
        place = data.location(part.recording)
        segmented = data.segments is not None
        length = (data.utt2dur or {}).get(utt)
        yield Utterance(
            id=utt,
            speaker=(data.utt2spk or {}).get(utt, utt),
            audio=place if place.rstrip().endswith("|") else str(root / place),
            text=data.text[utt],
            start=part.start if segmented else None,
            end=part.end,
            recording=part.recording if segmented else "",
            channel=part.channel,
            seconds=float(length) if length and part.end is None else None,
        )
