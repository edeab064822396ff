"""Sound without words as data to train and test on: pieces of noise and music whose transcript is empty."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from speechlm.core.errors import UserError
from speechlm.corpora.base import Utterance
from speechlm.corpora.musan import MusanCorpus
from speechlm.features.augment import generator
from speechlm.io.audio import audio_info
from speechlm.io.tables import read_table

ESC_CLIP = re.compile(r"\d-(\d+)-[A-Z](?=-|$)")
"""Names of ESC-50's clips, `1-100032-A-0`: clips of one number are cut from one recording."""
AUDIO = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Sound:
    """A recording without words. origin: sounds of one origin never stand in both training and test set."""

    id: str
    path: Path

    @property
    def origin(self) -> str:
        """The recording that it was cut from, where its name tells."""
        found = ESC_CLIP.search(self.id)
        return found[1] if found else self.id


def sounds_of_table(table: Path) -> Iterator[Sound]:
    """List a Kaldi table id -> path; relative paths start at the table's own folder."""
    for sound, place in read_table(table, values=True).items():
        yield Sound(sound, table.resolve().parent / place)


def sounds_of_musan(folder: Path) -> Iterator[Sound]:
    """List noise and music of MUSAN (OpenSLR 17); its speech has words and is left out."""
    corpus = MusanCorpus(folder)
    for split in corpus.splits:
        for utterance in corpus.utterances(split):
            yield Sound(utterance.id, Path(utterance.audio))


def sounds_of_esc50(folder: Path) -> Iterator[Sound]:
    """List ESC-50's clips (`audio/1-100032-A-0.wav`): 2,000 environmental sounds of 5 s, none with words."""
    place = folder / "audio"
    if not place.is_dir():
        raise UserError(f"{place}: not found; give the folder of ESC-50 (github.com/karolpiczak/ESC-50)")
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in AUDIO:
            yield Sound(path.stem, path)


def split_sounds(sounds: Iterable[Sound], share: float, seed: int) -> tuple[list[Sound], list[Sound]]:
    """Part sounds into those to train on and those to test on, whole origins to one side.

    share: part of the origins that is for testing, 0 to below 1; above 0 at least one. Raises: UserError for a sound
    that comes twice, and where nothing would be left to train on.
    """
    found = sorted(sounds, key=lambda sound: sound.id)
    twice = [sound for sound, count in Counter(sound.id for sound in found).items() if count > 1]
    if twice:
        raise UserError(f"sound '{twice[0]}' comes twice; names must be unique over all sources")
    if not 0 <= share < 1:
        raise UserError(f"--test_share: must be from 0 to below 1, is {share}")
    origins = sorted({sound.origin for sound in found}, key=lambda origin: _order(f"{seed} {origin}"))
    held = set(origins[: max(1, round(share * len(origins))) if share else 0])
    if len(held) >= len(origins):
        raise UserError(f"{len(origins)} recordings without words are too few to train and test on; give more")
    return [s for s in found if s.origin not in held], [s for s in found if s.origin in held]


def pieces(sounds: Iterable[Sound], seconds: tuple[float, float], hours: float, seed: int) -> list[Utterance]:
    """Cut sounds, from their beginnings on, into pieces of evenly drawn lengths, and take some in random order.

    seconds: shortest and longest piece; a last piece that is shorter falls away, and so does a sound that is. hours: how
    much is taken, 0 for all. The same sounds and seed give the same pieces. Raises: UserError where there is too little.
    """
    low, high = seconds
    if not 0.1 <= low <= high:
        raise UserError(f"--seconds: must be LOW-HIGH with 0.1 <= LOW <= HIGH, is {low:g}-{high:g}")
    found = [piece for sound in sounds for piece in _cut(sound, low, high, seed)]
    found.sort(key=lambda piece: _order(f"{seed} {piece.id}"))
    total, taken = 0.0, []
    for piece in found:
        if hours and total >= 3600 * hours:
            break
        taken.append(piece)
        total += piece.end - piece.start  # type: ignore[operator] # pieces have both
    if not taken or total < 3600 * hours:
        raise UserError(
            f"there are {total / 3600:.3f} hours of sound in pieces of at least {low:g} s; ask for no more (--hours), "
            "or give more sounds: a share in data.shares repeats a small set as often as needed"
        )
    return taken


def _cut(sound: Sound, low: float, high: float, seed: int) -> Iterator[Utterance]:
    """Cut one sound into pieces, times in whole milliseconds."""
    info = audio_info(str(sound.path))
    end = int(1000 * info.seconds)
    random = generator(f"nonspeech {seed} {sound.id}")
    start, name = 0, re.sub(r"\s+", "_", sound.id)
    while end - start >= 1000 * low:
        stop = min(end, start + round(1000 * random.uniform(low, high)))
        yield Utterance(
            f"{name}-{start:08d}-{stop:08d}", name, str(sound.path), "", start / 1000, stop / 1000, name,
            channel=0 if info.channels > 1 else None,
        )  # fmt: skip
        start = stop


def _order(key: str) -> bytes:
    """A sort key that looks random and is the same everywhere."""
    return hashlib.blake2b(key.encode("utf-8"), digest_size=16).digest()
