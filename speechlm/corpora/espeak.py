"""Speech synthesis with espeak-ng through ctypes: the library and voices of the PyPI wheel `espeakng-loader`.

The library keeps state between utterances (the same text comes out differently each time), so every utterance is
spoken in a fork of a process that has never spoken: the same text, voice and settings give the same samples.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechlm.core.errors import UserError

# Constants of espeak-ng's speak_lib.h.
SYNCHRONOUS = 2
DONT_EXIT = 0x8000
UTF8, PHONEMES = 1, 0x100
RATE, PITCH, RANGE = 1, 3, 4
LONGEST_DATA_PATH = 150  # the library cuts longer paths in silence and then has no voice

LANGUAGES = {"zh": "cmn", "en": "en-us", "ja": "ja"}

SYLLABLES = {"xiong": "S;yu", "qiong": "tS;hyu", "jiong": "tS;yu"}
TONES = {"1": "55", "2": "35", "3": "214", "4": "51", "5": "11"}


@dataclass(frozen=True)
class Voice:
    """A language, a variant of the speaker ("f3", "Alex", "" for none), words a minute, pitch and its range (0-99)."""

    language: str
    variant: str = ""
    rate: int = 175
    pitch: int = 50
    range: int = 50

    @property
    def name(self) -> str:
        """Name as espeak-ng knows it."""
        language = LANGUAGES[self.language]
        return f"{language}+{self.variant}" if self.variant else language


class Espeak:
    """The library, loaded once. This process never speaks; its forks do."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise UserError("synthesis needs espeakng-loader; install it with: pip install 'speechlm[mini]'") from None
        self._link: tempfile.TemporaryDirectory[str] | None = None
        self._variants = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
        data = self._short(espeakng_loader.get_data_path())
        self.library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        self._declare()
        self.rate: int = self.library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
        if self.rate <= 0:
            raise UserError(f"espeak-ng cannot read its data in {data}; install espeakng-loader again")
        self._heard = bytearray()
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = callback(self._hear)  # the library keeps only a pointer: this reference keeps it alive

    def _short(self, data: str) -> str:
        """Give a path of the data that is short enough: the path itself, or a link in the temporary folder."""
        if len(data) <= LONGEST_DATA_PATH:
            return data
        self._link = tempfile.TemporaryDirectory(prefix="espeak")
        short = Path(self._link.name) / "espeak-ng-data"
        if len(str(short)) > LONGEST_DATA_PATH:
            raise UserError(
                f"{short}: espeak-ng reads paths up to {LONGEST_DATA_PATH} characters; set TMPDIR to a short one"
            )
        short.symlink_to(data)
        return str(short)

    def _declare(self) -> None:
        library = self.library
        library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.POINTER(ctypes.c_uint), ctypes.c_void_p,
        ]  # fmt: skip
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]

    def _hear(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._heard += ctypes.string_at(samples, 2 * count)
        return 0

    def speak(self, text: str, voice: Voice) -> np.ndarray:
        """Speak `text`: (N,) int16 samples at `self.rate`. `[[...]]` in the text are phonemes."""
        # An unknown variant would be spoken with the plain voice, without a word.
        if voice.variant and not (self._variants / voice.variant).is_file():
            raise UserError(f"espeak-ng has no voice '{voice.name}'")
        spoken = in_child(lambda: self._speak(text, voice))
        return np.frombuffer(spoken, dtype="<i2")

    def sayable(self, texts: list[str], language: str) -> list[bool]:
        """Tell which texts are spoken in the language itself; others come out as names of English letters.

        Phonemes in `[[...]]` can always be said.
        """
        flags = in_child(lambda: bytes(self._is_sayable(text, language) for text in texts))
        return [bool(flag) for flag in flags]

    def _choose(self, voice: Voice) -> None:
        if self.library.espeak_SetVoiceByName(voice.name.encode()):
            raise RuntimeError(f"espeak-ng cannot load the voice {voice.name}")
        for parameter, value in ((RATE, voice.rate), (PITCH, voice.pitch), (RANGE, voice.range)):
            self.library.espeak_SetParameter(parameter, value, 0)

    def _speak(self, text: str, voice: Voice) -> bytes:
        # The library knows one callback, also where a process has loaded it twice.
        self.library.espeak_SetSynthCallback(self._callback)
        self.library.espeak_ng_SetRandSeed(1)
        self._choose(voice)
        given = text.encode() + b"\0"
        if self.library.espeak_Synth(given, len(given), 0, 1, 0, UTF8 | PHONEMES, None, None):
            raise RuntimeError(f"espeak-ng cannot speak {text!r}")
        return bytes(self._heard)

    def _is_sayable(self, text: str, language: str) -> bool:
        self._choose(Voice(language))
        given = ctypes.create_string_buffer(re.sub(r"\[\[.*?\]\]", "", text).encode())
        place = ctypes.c_void_p(ctypes.addressof(given))
        found = ""
        while place.value:
            found += self.library.espeak_TextToPhonemes(ctypes.byref(place), UTF8, 0).decode()
        return "(en)" not in found or language == "en"


def in_child(work: Callable[[], bytes]) -> bytes:
    """Run `work` in a fork of this process and give what it returned. Raises RuntimeError if it failed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(work())
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        given = pipe.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the process that speaks has failed")
    return given


def with_phonemes(text: str, syllables: list[str]) -> str:
    """Write as phonemes the characters whose syllables (xiong, qiong, jiong) the Mandarin voice cannot read.

    syllables: one tone-numbered syllable a character of `text`.
    """
    written = []
    for character, syllable in zip(text, syllables, strict=True):
        sound = SYLLABLES.get(syllable[:-1])
        written.append(f"[[{sound}{TONES[syllable[-1]]}N]]" if sound else character)
    return "".join(written)
