"""A Kaldi data directory as a map-style data set: index and epoch in, one utterance out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from speechlm.core.errors import UserError
from speechlm.core.log import progress
from speechlm.data.cache import MemoryCache
from speechlm.data.select import FRAME_SECONDS, Limits, Selection, select
from speechlm.data.sources import Cmvn, Empty, Features, Source, Units, Waves
from speechlm.data.texts import TextSelection
from speechlm.io.datadir import DataDir

if TYPE_CHECKING:
    from speechlm.features.augment import Augmenter
    from speechlm.features.fbank import Fbank
    from speechlm.text.hot_list import HotLists

LOGGER = logging.getLogger(__name__)

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Example:
    """One utterance, ready to be padded.

    speech: fbank (T, D) float32 | waveform (N,) float32 | units (T,) int64 | empty (0,) float32.
    seconds: duration of the audio that `speech` holds (after a change of speed); 0 for text-only data.
    text: normalised transcript. targets, answer: what the head and the LLM must give; None where not asked for.
    hot: tokens of the list of phrases in the LLM's prompt; None where the prompt has no place for one.
    """

    id: str
    speech: np.ndarray
    seconds: float
    text: str
    targets: list[int] | None
    answer: list[int] | None
    speaker: str
    hot: list[int] | None = None


class SpeechDataset:
    """Utterances of one data directory that keep the limits, in C order of their ids.

    Where no sound is read (source pinyin, none), texts stay on disk: eight bytes a sentence are kept, and its size.

    The same (seed, utterance, epoch) gives the same example in every process, so neither the number of workers nor an
    interruption changes what a model sees.

    sizes: (N,) float64, seconds that each utterance counts for in a batch. hot: draws the lists of phrases, where a
    model is trained that reads them.

    Raises: UserError when the directory lacks a file that `source` needs, or when no utterance is left.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        source: Literal["feats", "wave", "pinyin", "none"] = "feats",
        rate: int = 16000,
        fbank: Fbank | None = None,
        cmvn: Cmvn | None = None,
        encode_source: Encode | None = None,
        encode_noisy: Callable[[str, str], list[int]] | None = None,
        encode_target: Encode | None = None,
        encode_answer: Encode | None = None,
        language: Literal["zh", "ja", "en", "none"] = "none",
        augmenter: Augmenter | None = None,
        min_seconds: float = 0.0,
        max_seconds: float = math.inf,
        allow_empty: bool = False,
        allow_pipes: bool = False,
        text_seconds: float = 0.2,
        keep_in_memory: float = 0.0,
        seed: int = 0,
        seconds_per_frame: float = FRAME_SECONDS,
    ) -> None:
        """Select the utterances; read no speech yet.

        source: what `Example.speech` is. feats: rows of feats.scp, or of `fbank` over the audio where `fbank` is given
            (needed when `augmenter` changes the wave). wave: audio at `rate`. pinyin: `encode_source` of the text.
        cmvn: normalisation of features, see `speechlm.data.sources.Cmvn`.
        encode_noisy: text and (seed, utterance, epoch) to unit ids with noise on the readings, in the place of `encode_source`.
        encode_target, encode_answer: text to units of the head, and to tokens of the LLM with the end token.
        min_seconds, max_seconds, allow_empty: what is kept; the rest is counted in `selection.skipped`.
        text_seconds: seconds that one unit of text-only input counts for.
        keep_in_memory: GiB of speech (before augmentation) that may be kept in memory.
        seconds_per_frame: step of the stored features, for durations where only utt2num_frames is there.
        """
        self.folder = DataDir(folder)
        self.encode_target, self.encode_answer, self.seed, self.epoch = encode_target, encode_answer, seed, 0
        self.hot: HotLists | None = None
        limits = Limits(min_seconds, max_seconds, allow_empty)
        self.selection: Selection | TextSelection
        if source in ("pinyin", "none") and (self.folder.path / "text").exists():
            self.selection = TextSelection(self.folder.path, language, limits)
        else:
            how = {"from_audio": fbank is not None, "allow_pipes": allow_pipes, "seconds_per_frame": seconds_per_frame}
            self.selection = select(self.folder, source, language, limits, **how)  # type: ignore[arg-type]
        self.source: Source | Units | Empty
        if source == "feats":
            cache = MemoryCache(keep_in_memory)
            self.source = Features(self.folder, rate, fbank, cmvn, augmenter, cache, allow_pipes)
        elif source == "wave":
            self.source = Waves(self.folder, rate, augmenter, MemoryCache(keep_in_memory), allow_pipes)
        elif source == "pinyin":
            if encode_source is None:
                raise ValueError("source 'pinyin' needs encode_source, a function from text to unit ids")
            self.source = Units(encode_source, encode_noisy)
        else:
            self.source = Empty()
        self.text_seconds, self.keep_in_memory = text_seconds, keep_in_memory

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the utterances that are kept, in C order."""
        return self.selection.ids

    @cached_property
    def sizes(self) -> np.ndarray:
        """(N,) float64: true seconds, or the number of units (letters without units) times `text_seconds`."""
        size, every = self._size, range(len(self))
        return np.fromiter((size(index) for index in every), dtype=np.float64, count=len(self))

    def _size(self, index: int) -> float:
        if isinstance(self.source, Units | Empty):
            return max(1, self.source.size(self.selection.text_of(index))) * self.text_seconds
        return self.selection.seconds_of(index)

    def __len__(self) -> int:
        return len(self.ids)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of `self[index]`: augmentation differs from epoch to epoch."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Example:
        return self.read(index, self.epoch)

    def read(self, index: int, epoch: int) -> Example:
        """Read one utterance as it is in this epoch.

        Raises: UserError or OSError when its speech cannot be read.
        """
        utt, text = self.ids[index], self.selection.text_of(index)
        key = f"{self.seed}/{utt}/{epoch}"
        seconds: float | None = None
        if isinstance(self.source, Units | Empty):
            speech = self.source.of(text, key)
        else:
            speech, seconds = self.source.read(utt, key)
        return Example(
            id=utt,
            speech=speech,
            seconds=self.selection.seconds_of(index) if seconds is None else seconds,
            text=text,
            targets=self.encode_target(text) if self.encode_target else None,
            answer=self.encode_answer(text) if self.encode_answer else None,
            speaker=self.selection.speaker_of(index),
            hot=self.hot.tokens(text, key) if self.hot else None,
        )

    def choose(self, epoch: int) -> np.ndarray:
        """Give the indices that make up an epoch: all of them."""
        return np.arange(len(self))

    def preload(self) -> None:
        """Fill the memory cache, so that worker processes started afterwards share it."""
        if not self.keep_in_memory or isinstance(self.source, Units | Empty):
            return
        for utt in progress(self.ids, total=len(self), what=f"keeping {self.folder.path} in memory"):
            try:
                if not self.source.preload(utt):
                    return
            except (UserError, OSError) as error:
                LOGGER.debug("%s is not kept in memory: %s", utt, error)  # counted when it is read for training
