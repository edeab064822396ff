"""The speakers of the mini corpus, and how one utterance is made: voice, silence, level, noise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from speechlm.corpora.espeak import SYLLABLES, Espeak, Voice, with_phonemes

RATE = 16000
VOICES = {
    "train": (
        "f1 f2 f3 m1 m2 m3 m5 m6 m7 Alex Alicia Andy Annie Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Reed "
        "anika antonio aunty benjamin boris david ed gustave ian john linda marcelo max michel pablo rob steph "
        "shelby Andrea travis"
    ),
    "dev": "f4 m4 Denis edward",
    "test": "f5 m8 Mike adam belinda miguel quincy sandro",
}
"""Variants of espeak-ng's voice (whispering, robotic and very low ones are left out); none is in two splits. The ones
most unlike all others (shelby, Andrea, travis: twice the errors of the rest when they were not heard before) train."""
BODIES = {"train": (0.88, 1.0, 1.12), "dev": (1.0,), "test": (1.0,)}
"""Vocal tracts: each variant speaks as people whose formants lie this much higher; cheap variety for the training set."""


@dataclass(frozen=True)
class Speaker:
    """A voice with the pitch, liveliness and vocal tract that it keeps in all its utterances.

    body: factor on all frequencies, formants and pitch alike; 1 is espeak-ng's own.
    """

    variant: str
    pitch: int
    range: int
    body: float = 1.0

    @property
    def id(self) -> str:
        """Name with pitch and vocal tract in it."""
        return f"{self.variant.lower()}p{self.pitch:02d}b{round(100 * self.body):03d}"


def speakers(split: str, seed: int) -> list[Speaker]:
    """List the speakers of a split."""
    chosen = []
    for variant in VOICES[split].split():
        chooser = random.Random(f"speaker {seed} {variant}")
        for body in BODIES[split]:
            near = round(body + chooser.uniform(-0.04, 0.04), 2)
            chosen.append(Speaker(variant, chooser.randint(30, 70), chooser.randint(35, 75), near))
    return chosen


@dataclass(frozen=True)
class Job:
    """One utterance to be made.

    text: the transcript. spoken: what the voice reads. path: where it is written. key: of its random numbers. noise:
    probability of noise.
    """

    id: str
    text: str
    spoken: str
    speaker: Speaker
    language: str
    path: str
    key: str
    noise: float


def spoken(text: str, language: str) -> str:
    """Write a sentence for the voice: characters that it cannot read become phonemes."""
    if language != "zh":
        return text
    from speechlm.text.pinyin import words

    readings = [reading for word in words(text) for reading in word.readings]
    if len(readings) != len(text) or not any(reading[:-1] in SYLLABLES for reading in readings):
        return text
    return with_phonemes(text, readings)


@lru_cache(maxsize=1)
def library() -> Espeak:
    """Load the library, once; the processes that are forked afterwards have it, too."""
    return Espeak()


def make(job: Job) -> float:
    """Speak, place and soil one utterance, and write its wav file; gives its seconds."""
    from speechlm.io.audio import write_wav
    from speechlm.io.resample import resample

    espeak = library()
    chooser = random.Random(f"utterance {job.key}")
    rate = round(chooser.randint(140, 210) / job.speaker.body)  # a higher voice by resampling is a faster one, too
    voice = Voice(job.language, job.speaker.variant, rate, job.speaker.pitch, job.speaker.range)
    said = espeak.speak(job.spoken, voice).astype(np.float32) / 32768
    said = resample(said, espeak.rate * job.speaker.body, RATE)
    said = np.pad(said, [round(chooser.uniform(0.05, 0.3) * RATE) for _ in range(2)])
    said = said * (10 ** (chooser.uniform(-30, -20) / 20) / _level(said))
    if chooser.random() < job.noise:
        said = said + _noise(len(said), _level(said) / 10 ** (chooser.uniform(10, 30) / 20), chooser)
    write_wav(job.path, said / max(1.0, float(np.abs(said).max()) / 0.99), RATE)
    return len(said) / RATE


def _level(samples: np.ndarray) -> float:
    """Root mean square, never zero."""
    return max(float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))), 1e-5)


def _noise(count: int, level: float, chooser: random.Random) -> np.ndarray:
    """Make noise (N,) of a level; its spectrum falls with 0 (white) to 6 dB (brown) an octave."""
    generator = np.random.Generator(np.random.PCG64(chooser.getrandbits(64)))
    spectrum = np.fft.rfft(generator.standard_normal(count))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1 + count * 50 // RATE) ** chooser.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, count)
    return (noise * (level / _level(noise))).astype(np.float32)
