"""What an encoder is given: rows of an archive, features of augmented audio, audio, units of a text, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from speechlm.core.errors import UserError
from speechlm.data.cache import MemoryCache
from speechlm.features.cmvn import CmvnStats, apply_cmvn
from speechlm.io.archive import read_matrix
from speechlm.io.datadir import DataDir

if TYPE_CHECKING:
    from speechlm.features.augment import Augmenter
    from speechlm.features.fbank import Fbank

Cmvn = CmvnStats | Mapping[str, CmvnStats] | Literal["utterance"]
"""Statistics of the whole set, of each speaker (id -> statistics), or of the utterance itself."""


class Source(Protocol):
    """Reads the speech of an utterance; `key` names (seed, utterance, epoch) and fixes every random choice."""

    def read(self, utt: str, key: str) -> tuple[np.ndarray, float | None]:
        """Give the speech and its seconds where the augmentation changed them."""
        ...

    def preload(self, utt: str) -> bool:
        """Keep the utterance in memory; False when there is no room (or nothing to keep)."""
        ...


class TextSource(Protocol):
    """Makes what stands in the place of speech from the text alone: there is nothing to read, and no duration."""

    def size(self, text: str) -> int:
        """Count what decides how much room a text takes in a batch."""
        ...

    def of(self, text: str, key: str) -> np.ndarray:
        """Make the row; `key` names (seed, utterance, epoch) and fixes every random choice."""
        ...


class Features:
    """Filter bank features (T, D) float32: read from feats.scp, or computed from augmented audio with `fbank`."""

    def __init__(
        self,
        folder: DataDir,
        rate: int,
        fbank: Fbank | None,
        cmvn: Cmvn | None,
        augmenter: Augmenter | None,
        cache: MemoryCache,
        allow_pipes: bool,
    ) -> None:
        if augmenter and augmenter.changes_wave and not fbank:
            raise UserError(
                "augment: speed, noise and reverberation change the audio, stored features do not follow; "
                "set data.from_audio: true, or take them out of 'augment'"
            )
        self.fbank, self.cmvn, self.augmenter, self.cache = fbank, cmvn, augmenter, cache
        self.waves = Waves(folder, rate, augmenter, cache, allow_pipes) if fbank else None
        self.rows = folder.feats_scp or {}
        self.speakers = folder.utt2spk or {}

    def read(self, utt: str, key: str) -> tuple[np.ndarray, float | None]:
        """Give normalised, augmented features."""
        if self.fbank and self.waves:
            samples, seconds = self.waves.read(utt, key)
            features = self._normalise(utt, self.fbank(samples))
        else:
            features, seconds = self._stored(utt), None
        if self.augmenter:
            features = self.augmenter.features(features, key)
        return features, seconds

    def preload(self, utt: str) -> bool:
        """Keep the normalised features, or the audio they will be made of."""
        if self.waves:
            return self.waves.preload(utt)
        return self.cache.put(utt, self._stored(utt))

    def _stored(self, utt: str) -> np.ndarray:
        kept = self.cache.get(utt)
        if kept is not None:
            return kept
        features = self._normalise(utt, np.asarray(read_matrix(self.rows[utt]), dtype=np.float32))
        self.cache.put(utt, features)
        return features

    def _normalise(self, utt: str, features: np.ndarray) -> np.ndarray:
        if len(features) == 0:
            raise UserError(f"{utt}: not a single frame of features; the audio is shorter than one window")
        if not np.isfinite(features).all():
            raise UserError(f"{utt}: the features hold values that are not finite; compute them again (stage 1)")
        if self.cmvn is None:
            return features
        if isinstance(self.cmvn, str):
            stats = CmvnStats.of(features)
        elif isinstance(self.cmvn, Mapping):
            speaker = self.speakers.get(utt, utt)
            if speaker not in self.cmvn:
                raise UserError(f"{utt}: no CMVN statistics of speaker '{speaker}'; compute them again (stage 1)")
            stats = self.cmvn[speaker]
        else:
            stats = self.cmvn
        return np.asarray(apply_cmvn(features, stats), dtype=np.float32)


class Waves:
    """Audio (N,) float32 in [-1, 1] at `rate` Hz."""

    def __init__(
        self, folder: DataDir, rate: int, augmenter: Augmenter | None, cache: MemoryCache, allow_pipes: bool
    ) -> None:
        self.folder, self.rate, self.augmenter, self.cache, self.allow_pipes = (
            folder,
            rate,
            augmenter,
            cache,
            allow_pipes,
        )

    def read(self, utt: str, key: str) -> tuple[np.ndarray, float | None]:
        """Give augmented audio and its duration, which a change of speed changes."""
        samples = self._stored(utt)
        if self.augmenter:
            samples = self.augmenter.wave(samples, self.rate, key)
        return samples, len(samples) / self.rate

    def preload(self, utt: str) -> bool:
        """Keep the audio before augmentation."""
        return self.cache.put(utt, self._stored(utt))

    def _stored(self, utt: str) -> np.ndarray:
        kept = self.cache.get(utt)
        if kept is not None:
            return kept
        samples = self.folder.audio(utt, self.rate, self.allow_pipes)
        self.cache.put(utt, samples)
        return samples


class Units:
    """Unit ids (T,) int64 of the text: pinyin syllables in the place of speech (2409.16005)."""

    def __init__(
        self, encode: Callable[[str], list[int]], noisy: Callable[[str, str], list[int]] | None = None
    ) -> None:
        self.encode, self.noisy = encode, noisy

    def size(self, text: str) -> int:
        """Count the units of a text."""
        return len(self.encode(text))

    def of(self, text: str, key: str) -> np.ndarray:
        """Give the unit ids, with the noise of (seed, utterance, epoch) where there is one."""
        return np.array(self.noisy(text, key) if self.noisy else self.encode(text), dtype=np.int64)


class Empty:
    """No speech at all: for training a language model on text."""

    def size(self, text: str) -> int:
        """Count the letters of a text."""
        return len(text)

    def of(self, text: str, key: str) -> np.ndarray:
        """Give an empty row."""
        return np.zeros(0, dtype=np.float32)
