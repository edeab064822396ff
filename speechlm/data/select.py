"""Which utterances of a data directory are used: what is left out is counted and told, never dropped in silence."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from speechlm.core.errors import UserError
from speechlm.core.log import clock
from speechlm.io.datadir import DataDir
from speechlm.io.segments import number
from speechlm.text.normalize import Language, normalize

LOGGER = logging.getLogger(__name__)

FRAME_SECONDS = 0.01
"""Step of Kaldi's features where nothing else is said."""


@dataclass(frozen=True)
class Limits:
    """Utterances outside of [min_seconds, max_seconds], or without text unless `allow_empty`, are left out."""

    min_seconds: float
    max_seconds: float
    allow_empty: bool


@dataclass
class Selection:
    """The utterances that are used, in C order of their ids, and those that are not, by reason.

    texts: id -> normalised text. seconds: id -> duration, 0 for text-only data. speakers: id -> speaker.
    """

    name: str
    texts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    speakers: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids: list[str] = []

    def skip(self, utt: str, reason: str) -> None:
        """Leave an utterance out."""
        self.skipped.setdefault(reason, []).append(utt)

    def line(self) -> str:
        """Say in one line what is used and what is left out."""
        return summary_line(self.name, len(self.ids), sum(self.seconds.values()), self.skipped)

    def text_of(self, index: int) -> str:
        """Give the normalised text of an utterance."""
        return self.texts[self.ids[index]]

    def speaker_of(self, index: int) -> str:
        """Give the speaker of an utterance, its id where nothing tells."""
        return self.speakers.get(self.ids[index], self.ids[index])

    def seconds_of(self, index: int) -> float:
        """Give the duration of an utterance."""
        return self.seconds[self.ids[index]]


def summary_line(name: str, used: int, seconds: float, skipped: dict[str, list[str]]) -> str:
    """Say in one line what of a directory is used and what is left out."""
    left_out = [f"{len(ids)} {reason} ({ids[0]}{' …' if len(ids) > 1 else ''})" for reason, ids in skipped.items()]
    told = ", ".join(left_out) or "none"
    return f"{name}: {used} utterances, {clock(seconds)} of audio; left out: {told}"


def select(
    folder: DataDir, source: str, language: Language, limits: Limits, *, from_audio: bool, allow_pipes: bool,
    seconds_per_frame: float = FRAME_SECONDS,
) -> Selection:  # fmt: skip
    """Choose the utterances of `folder` that have speech for `source`, a text, and a duration within the limits.

    Raises: UserError when a needed file is missing or nothing is left.
    """
    chosen = Selection(str(folder.path))
    chosen.speakers = dict(folder.utt2spk or {})
    spoken = source in ("feats", "wave")
    # Without the file `text` every transcript is empty; that is a decoding set, and only allowed where asked for.
    texts = folder.text if folder.text is not None else {}
    speech = _speech_table(folder, source, from_audio)
    times = _seconds(folder, allow_pipes, seconds_per_frame) if spoken else {}
    for utt in sorted(folder.ids(), key=lambda utt: utt.encode()):
        text = normalize(texts.get(utt, ""), language)
        seconds = times.get(utt, 0.0)
        reason = reason_of(text, seconds, limits, spoken)
        if speech is not None and utt not in speech:
            reason = "without features" if source == "feats" and not from_audio else "without audio"
        if reason:
            chosen.skip(utt, reason)
            continue
        chosen.ids.append(utt)
        chosen.texts[utt], chosen.seconds[utt] = text, seconds
    LOGGER.info("%s", chosen.line())
    if not chosen.ids:
        raise UserError(f"{chosen.line()}; check the directory, or the limits of the section 'data'")
    return chosen


def reason_of(text: str, seconds: float, limits: Limits, spoken: bool) -> str | None:
    """Say why an utterance is left out; None where it is used."""
    if not text and not limits.allow_empty:
        return "without text"
    if spoken and seconds < limits.min_seconds:
        return f"shorter than {limits.min_seconds:g} s"
    if spoken and seconds > limits.max_seconds:
        return f"longer than {limits.max_seconds:g} s"
    return None


def _speech_table(folder: DataDir, source: str, from_audio: bool) -> dict[str, str] | None:
    """Give the table whose ids have speech, or None where no speech is needed."""
    if source == "feats" and not from_audio:
        if folder.feats_scp is None:
            raise UserError(f"{folder.path}/feats.scp: no such file; compute features first (stage 1)")
        return folder.feats_scp
    if source in ("feats", "wave"):
        if folder.wav_scp is None:
            raise UserError(f"{folder.path}/wav.scp: no such file; it is needed to read audio")
        return folder.segments or folder.wav_scp
    return None


def _seconds(folder: DataDir, allow_pipes: bool, seconds_per_frame: float) -> dict[str, float]:
    """Find the durations: the data directory's own, or the number of frames where the audio would have to be opened."""
    if folder.utt2dur is None and folder.segments is None and folder.utt2num_frames is not None:
        place = f"{folder.path}/utt2num_frames"
        return {utt: number(value, utt, place) * seconds_per_frame for utt, value in folder.utt2num_frames.items()}
    return folder.seconds(allow_pipes)
