"""Read English by Mandarin speakers, children and adults: speechocean762 (OpenSLR 101, 2104.01378)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from speechlm.corpora.base import Corpus, Utterance
from speechlm.corpora.kaldi import KaldiCorpus, read_data_dir

DEV_EVERY = 8


class SpeechoceanCorpus(Corpus):
    """Read English sentences in 16 kHz, 2,500 utterances to train on and 2,500 to test, speakers disjoint.

    Read from the published tree (`train/`, `test/`, `WAVE/SPEAKER0001/000010011.WAV`), where every eighth speaker of
    the training part becomes the development set, or from a pack of Kaldi data directories that has its own.
    """

    url = "https://www.openslr.org/101"

    def utterances(self, split: str) -> Iterator[Utterance]:
        """List the sentences of a split; speaker ids get an `so` and stand before the utterance ids, as Kaldi sorts."""
        self.check_split(split, self.splits)
        if (self.folder / "data" / "train").is_dir():
            yield from KaldiCorpus(self.folder).utterances(split)
            return
        self.need(self.folder / "WAVE")
        source = self.need(self.folder / ("test" if split == "test" else "train"))
        found = list(read_data_dir(source, self.folder))
        held_out = set(sorted({utterance.speaker for utterance in found})[DEV_EVERY - 1 :: DEV_EVERY])
        for utterance in found:
            if split == "test" or (utterance.speaker in held_out) == (split == "dev"):
                speaker = f"so{utterance.speaker}"
                yield replace(utterance, id=f"{speaker}-{utterance.id}", speaker=speaker)
