"""Read utterances one after another, each recording only once while its segments follow each other."""

from __future__ import annotations

import numpy as np

from speechlm.core.errors import UserError
from speechlm.io.audio import cut, decode, one_channel, read_audio
from speechlm.io.datadir import DataDir


class Recordings:
    """A reader that remembers the last recording.

    Long recordings come as pipes or in formats that are decoded from their start; with `segments` in C order, where the
    utterances of a recording usually stand together, reading it once for all of them saves most of the work. The
    recording is held in memory as a whole.
    """

    def __init__(self, data: DataDir, *, allow_pipes: bool = False) -> None:
        self.data, self.allow_pipes = data, allow_pipes
        self.location = ""
        self.last: tuple[np.ndarray, int] | UserError | None = None

    def read(self, utt: str) -> tuple[np.ndarray, int]:
        """Read an utterance: float32 (N,) in [-1, 1], and its rate in Hz.

        Raises: UserError as `io.audio.read_audio`, and where a table lacks the utterance.
        """
        part = self.data.segment(utt)
        location = self.data.location(part.recording)
        if self.data.segments is None:
            return read_audio(location, allow_pipes=self.allow_pipes)
        samples, rate = self.whole(location)
        return one_channel(*cut(samples, rate, part.start, part.end), location, part.channel, part.start, part.end)

    def whole(self, location: str) -> tuple[np.ndarray, int]:
        """Decode a recording, or remember it: (N, C), rate. A broken one is tried once."""
        if location != self.location or self.last is None:
            self.location = location
            try:
                self.last = decode(location, 0.0, None, self.allow_pipes)
            except UserError as error:
                self.last = error
        if isinstance(self.last, UserError):
            raise self.last
        return self.last
