"""Text that nobody spoke: insertions apart, and what a language model puts in, sorted into classes.

The error rate alone does not tell an ordinary insertion from an answer, a loop, or a sentence heard in noise: the
weak side of speech recognition by a large language model (Pham and others 2024, arXiv 2406.17272, their measure).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from speechlm.scoring.align import Counts
from speechlm.scoring.wer import Tally

CLASSES: dict[str, str] = {
    "loop": "an n-gram repeated over and over that the reference does not repeat so",
    "refusal": "an answer of a chat model instead of a transcript",
    "prompt_leak": "words of the prompt that were not spoken",
    "over_long": "more than twice as long as the reference",
    "runaway": "over-long by more than 20 units: the output did not end by itself",
    "silence": "text where nothing was spoken (empty reference)",
    "empty": "nothing where something was spoken",
}
"""Name and meaning of each class; an utterance may be in several."""

REFUSALS = (
    "i'm sorry but", "i am sorry but", "i'm sorry, but", "i am sorry, but", "i'm unable to", "i am unable to",
    "i can't transcribe", "i cannot transcribe", "i cannot provide", "i can't provide", "i can't help", "i cannot help",
    "as an ai", "as a language model", "large language model", "please provide the", "the audio is",
    "no speech detected", "transcribe the audio", "here is the transcript", "the transcription of",
    "对不起我", "对不起，我", "很抱歉我", "很抱歉，我", "抱歉我无法", "抱歉，我无法", "无法转写", "无法识别",
    "无法提供", "作为一个人工智能", "作为一个语言", "语言模型", "请提供音频", "这段音频", "音频内容", "转写结果",
    "申し訳ありませんが", "申し訳ございませんが", "音声を文字", "音声が聞き取れ", "文字起こしでき",
)  # fmt: skip
"""Lower-case phrases, without blanks in Chinese and Japanese; they count only where the reference has fewer of them."""

LONGEST_NGRAM = 20
RUNAWAY_UNITS = 20
LEAK_UNITS = 4
FEWEST = 3
"""Errors that a loop or a refusal needs: fewer of them are slips of the tongue, and most utterances have fewer."""


def find_loop(units: Sequence[str]) -> tuple[int, int]:
    """Find the n-gram that fills most units by standing again and again, at once: (n, how often); (0, 0) if none does.

    One unit must stand 4 times, a longer n-gram 3 times: "no no no" is speech.
    """
    best = (0, 0)
    number = len(units)
    if number - len(set(units)) < 3:  # the shortest loop has three units that stood before
        return best
    for size in range(1, min(LONGEST_NGRAM, number // 3) + 1):
        run = 0  # how many units in a row equal the one `size` before
        for index in range(size, number):
            run = run + 1 if units[index] == units[index - size] else 0
            times = run // size + 1
            if times >= (4 if size == 1 else 3) and times * size > best[0] * best[1]:
                best = (size, times)
    return best


def _loops(ref: Sequence[str], hyp: Sequence[str]) -> bool:
    """Say if the hypothesis repeats far more than the reference does."""
    size, times = find_loop(hyp)
    if not times:
        return False
    ref_size, ref_times = find_loop(ref)
    return size * times > 2 * ref_size * ref_times


class Classifier:
    """Sorts utterances into the classes of `CLASSES`.

    prompt: text that stands before the answer, as units; "" of it is looked for where no prompt is known.
    """

    def __init__(self, prompt: Sequence[str] = ()) -> None:
        size = min(LEAK_UNITS, len(prompt))
        self.size = size
        self.grams = {tuple(prompt[i : i + size]) for i in range(len(prompt) - size + 1)} if size else set()

    def classes(
        self, ref: Sequence[str], hyp: Sequence[str], ref_text: str, hyp_text: str, errors: int
    ) -> Sequence[str]:
        """Name the classes of one utterance.

        ref, hyp: units after normalisation. ref_text, hyp_text: the lines as they came. errors: between ref and hyp.
        """
        if errors == 0:
            return ()
        if not hyp:
            return ["empty"] if ref else []
        found = [] if ref else ["silence"]
        if len(hyp) > 2 * len(ref) and ref:
            found.append("over_long")
        if len(hyp) > 2 * len(ref) + RUNAWAY_UNITS:
            found.append("runaway")
        if errors >= FEWEST and _loops(ref, hyp):
            found.append("loop")
        if self.grams and self._leaks(ref, hyp):
            found.append("prompt_leak")
        if errors >= FEWEST and (said := _refusals(hyp_text)) and said > _refusals(ref_text):
            found.append("refusal")
        return found

    def _leaks(self, ref: Sequence[str], hyp: Sequence[str]) -> bool:
        size = self.size
        said = {tuple(hyp[i : i + size]) for i in range(len(hyp) - size + 1)} & self.grams
        return bool(said - {tuple(ref[i : i + size]) for i in range(len(ref) - size + 1)}) if said else False


REFUSAL = re.compile("|".join(map(re.escape, sorted(REFUSALS, key=len, reverse=True))))


def _refusals(text: str) -> int:
    return len(REFUSAL.findall(text.lower().replace("’", "'")))


@dataclass
class Insertions:
    """Sums over a test set.

    classes: utterances in each class. hallucinated: utterances in any class but `empty`. silence_*: utterances with an
    empty reference, the units put into them, and how many of them got any. silence_ids: for their minutes.
    """

    classes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    hallucinated: int = 0
    silence_utterances: int = 0
    silence_insertions: int = 0
    silence_output: int = 0
    silence_ids: set[str] = field(default_factory=set)

    def add(self, utt: str, counts: Counts, classes: Sequence[str]) -> None:
        """Count an utterance that has a class, or no words; others need not be told."""
        for name in classes:
            self.classes[name] += 1
        self.hallucinated += any(name != "empty" for name in classes)
        if not counts.words:
            self.silence_utterances += 1
            self.silence_insertions += counts.insertions
            self.silence_output += counts.insertions > 0
            self.silence_ids.add(utt)

    def summary(self, tally: Tally, silence_seconds: float | None) -> dict[str, float | int | dict[str, int] | None]:
        """Give the numbers for `scoring.json`.

        tally: sums of the whole set. silence_seconds: audio of the utterances with an empty reference; None if it is not
        known.
        """
        speech_insertions = tally.insertions - self.silence_insertions
        per_minute = round(60 * self.silence_insertions / silence_seconds, 3) if silence_seconds else None
        return {
            "classes": dict(self.classes),
            "hallucinated_utterances": self.hallucinated,
            "speech_utterances": tally.utterances - self.silence_utterances,
            "speech_insertions": speech_insertions,
            "speech_insertion_rate": _rate(speech_insertions, tally.words),
            "silence_utterances": self.silence_utterances,
            "silence_utterances_with_output": self.silence_output,
            "silence_units": self.silence_insertions,
            "silence_seconds": silence_seconds,
            "silence_units_per_minute": per_minute,
        }


def _rate(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole else None
