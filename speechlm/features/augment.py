"""Change training examples: speed, rooms, noise, masks; the same seed, utterance and epoch give the same change."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.audio import audio_info, decode, read_audio
from speechlm.io.resample import resample
from speechlm.io.tables import read_table


def generator(key: str) -> np.random.Generator:
    """A random generator whose draws depend on the text `key` only: not on order, process or machine."""
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(key.encode("utf-8"), digest_size=16).digest(), "big"))


class Augmenter:
    """Speed, rooms and noise on waveforms; SpecAugment (Park et al. 2019, 1904.08779, section 2) on features.

    Without options nothing is changed. A wav.scp of noises or room responses is a Kaldi table id -> file; recordings of
    another rate are resampled, of several channels one is drawn.

    Options:
        speed: factors of which one is drawn for each utterance, each 0.5 to 2; 1.1 is faster and higher.
        noise: wav.scp of noises to add.
        noise_share: share of the utterances that get noise, 0 to 1.
        snr: lowest and highest ratio of speech to noise in dB, drawn evenly, -20 to 100.
        reverb: wav.scp of room impulse responses.
        reverb_share: share of the utterances that get a room, 0 to 1.
        freq_masks: number of masks over mel bins.
        freq_width: widest mask in bins, drawn evenly from 0.
        time_masks: number of masks over frames.
        time_width: longest mask in frames, drawn evenly from 0.
        time_share: longest mask as a share of the utterance, 0 to 1; the shorter of the two limits holds.
    """

    def __init__(
        self,
        *,
        speed: tuple[float, ...] = (1.0,),
        noise: str | None = None,
        noise_share: float = 0.5,
        snr: tuple[float, float] = (5.0, 20.0),
        reverb: str | None = None,
        reverb_share: float = 0.5,
        freq_masks: int = 0,
        freq_width: int = 27,
        time_masks: int = 0,
        time_width: int = 40,
        time_share: float = 0.2,
    ) -> None:
        in_range("speed", speed, 0.5, 2.0)
        in_range("noise_share, reverb_share, time_share", (noise_share, reverb_share, time_share), 0.0, 1.0)
        in_range("snr", snr, -20.0, 100.0)
        in_range("freq_masks, time_masks", (freq_masks, time_masks), 0, 100)
        in_range("freq_width, time_width", (freq_width, time_width), 0, 10_000)
        if len(speed) < 1 or len(snr) != 2 or snr[0] > snr[1]:
            raise UserError(f"speed needs a factor, snr two rising values; they are {tuple(speed)} and {tuple(snr)}")
        self.speed, self.snr = tuple(speed), tuple(snr)
        self.noise_share, self.reverb_share = noise_share, reverb_share
        self.noises, self.rooms = locations(noise), locations(reverb)
        self.freq_masks, self.freq_width = freq_masks, freq_width
        self.time_masks, self.time_width, self.time_share = time_masks, time_width, time_share

    @property
    def changes_wave(self) -> bool:
        """True where the waveform is needed: stored features will not do."""
        return self.speed != (1.0,) or bool(self.noises and self.noise_share) or bool(self.rooms and self.reverb_share)

    def speed_factor(self, seed_key: str) -> float:
        """The factor that `wave` takes for this key: the duration becomes 1 / factor."""
        return float(generator(f"speed {seed_key}").choice(self.speed))

    def wave(self, samples: np.ndarray, rate: int, seed_key: str) -> np.ndarray:
        """Change speed, then add a room, then noise: (N,) float32 -> (N / factor,) float32.

        seed_key: what the change depends on: seed, utterance id and epoch in one text.
        """
        random = generator(f"wave {seed_key}")
        samples = resample(samples, self.speed_factor(seed_key), 1.0)
        if self.rooms and random.random() < self.reverb_share:
            responses = room(self.draw(self.rooms, random), rate)
            samples = add_room(samples, *responses[int(random.integers(len(responses)))])
        if self.noises and random.random() < self.noise_share:
            snr = random.uniform(*self.snr)
            noise = read_noise(self.draw(self.noises, random), rate, len(samples), random)
            samples = add_noise(samples, noise, snr)
        return samples

    @staticmethod
    def draw(choices: tuple[str, ...], random: np.random.Generator) -> str:
        """Draw one evenly."""
        return choices[int(random.integers(len(choices)))]

    def features(self, feats: np.ndarray, seed_key: str) -> np.ndarray:
        """Fill masked bins and frames of (T, D) with the mean of each bin over the utterance: a new array (T, D)."""
        if not (self.freq_masks or self.time_masks) or not feats.size:
            return feats
        random = generator(f"features {seed_key}")
        masked, mean = feats.copy(), feats.mean(axis=0)
        frames, bins = feats.shape
        for _ in range(self.freq_masks):
            part = span(bins, min(self.freq_width, bins), random)
            masked[:, part] = mean[part]
        for _ in range(self.time_masks):
            masked[span(frames, min(self.time_width, int(self.time_share * frames)), random)] = mean
        return masked


def in_range(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    """Raise a UserError unless all values lie between low and high."""
    if not all(low <= value <= high for value in values):
        raise UserError(f"{name}: must lie between {low} and {high}, is {', '.join(str(value) for value in values)}")


def locations(scp: str | None) -> tuple[str, ...]:
    """The files of a wav.scp; none without one. Raises: UserError when it is empty or broken."""
    if scp is None:
        return ()
    found = tuple(read_table(scp, values=True).values())
    if not found:
        raise UserError(f"{scp}: no recordings in it; leave the option out or fill the file")
    return found


def span(size: int, widest: int, random: np.random.Generator) -> slice:
    """Draw a part of range(size): its width evenly from 0 to `widest`, then its place evenly."""
    width = int(random.integers(widest + 1))
    start = int(random.integers(size - width + 1))
    return slice(start, start + width)


@lru_cache(maxsize=64)
def room(location: str, rate: int) -> tuple[tuple[np.ndarray, int], ...]:
    """Read an impulse response: for each channel taps (K,) of energy 1, and where their peak, the direct sound, is."""
    samples, real_rate = decode(location, 0.0, None, False)
    found = []
    for channel in samples.T:
        taps = resample(np.ascontiguousarray(channel), real_rate, rate)
        energy = float(np.sqrt(np.sum(np.square(taps, dtype=np.float64))))
        if not np.isfinite(energy) or energy == 0:
            raise UserError(f"{location}: an impulse response must be finite and not all zero; remove it")
        found.append(((taps / energy).astype(np.float32), int(np.argmax(np.abs(taps)))))
    return tuple(found)


def add_room(samples: np.ndarray, taps: np.ndarray, peak: int) -> np.ndarray:
    """Convolve (N,) with a room; the direct sound stays where it was, length and energy stay, too: (N,) float32."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(len(samples) + len(taps) - 1, real=True)
    wet = irfft(rfft(samples, size) * rfft(taps, size), size)[peak : peak + len(samples)]
    before, after = power(samples), power(wet)
    return (wet * np.sqrt(before / after)).astype(np.float32) if after > 0 else samples


def read_noise(location: str, rate: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Read `count` samples of a noise from a random place; a shorter one is repeated from a random place in it."""
    info = audio_info(location)
    channel = int(random.integers(info.channels))
    spare = info.seconds - count / rate
    start = random.uniform(0, spare) if spare > 0 else 0.0
    end = start + count / rate + 1.0 / rate if spare > 0 else None
    noise = read_audio(location, rate=rate, channel=channel, start=start, end=end)[0]
    return np.resize(noise if spare > 0 else np.roll(noise, -int(random.integers(len(noise)))), count)


def add_noise(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add (N,) noise scaled so that the power of the speech is `snr` dB above it: (N,) float32.

    Silence (of either) is left alone: no scale gives it a ratio.
    """
    speech_power, noise_power = power(samples), power(noise)
    if speech_power == 0 or noise_power == 0:
        return samples
    return samples + noise * np.float32(np.sqrt(speech_power / noise_power * 10 ** (-snr / 10)))


def power(samples: np.ndarray) -> float:
    """Mean square."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
