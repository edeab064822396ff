"""Classes of text that was not spoken."""

from __future__ import annotations

import pytest

from speechlm.scoring.align import Counts
from speechlm.scoring.insertions import CLASSES, Classifier, Insertions, find_loop
from speechlm.scoring.wer import Tally


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("no no no", (0, 0)),
        ("no no no no", (1, 4)),
        ("a b a b", (0, 0)),
        ("x a b a b a b y", (2, 3)),
        ("thank you for watching " * 3, (4, 3)),
        ("a b c a b c a b c d d d d", (3, 3)),
        ("one two three four", (0, 0)),
        ("", (0, 0)),
        ("a a a a a a", (1, 6)),
    ],
)
def test_find_loop(text: str, wanted: tuple[int, int]) -> None:
    assert find_loop(text.split()) == wanted


def classes(ref: str, hyp: str, prompt: str = "", errors: int = 5) -> list[str]:
    return list(Classifier(prompt.split()).classes(ref.split(), hyp.split(), ref, hyp, errors))


@pytest.mark.parametrize(
    ("ref", "hyp", "wanted"),
    [
        ("a b c", "a b d", []),
        ("a b c", "", ["empty"]),
        ("", "hello", ["silence"]),
        ("", "word " * 21, ["silence", "runaway", "loop"]),
        ("a b", "a b c d e", ["over_long"]),
        ("a b", "a b c d", []),
        ("a", " ".join(map(str, range(23))), ["over_long", "runaway"]),
        ("la la la la", "la la la la la", []),  # the reference repeats so too
        ("la la la la", "la " * 9, ["over_long", "loop"]),
        ("we went home", "i'm sorry but i can't help", ["refusal"]),
        ("he said i'm sorry but no", "he said i'm sorry but now", []),
    ],
)
def test_classes(ref: str, hyp: str, wanted: list[str]) -> None:
    assert classes(ref, hyp) == wanted


@pytest.mark.parametrize("hyp", ["I’m sorry, but no", "抱歉，我无法转写这段音频", "申し訳ありませんが"])
def test_refusals_of_each_language(hyp: str) -> None:
    assert "refusal" in Classifier().classes(["x", "y", "z", "w"], list(hyp)[:7], "xyzw", hyp, 7)


def test_leak_of_the_prompt() -> None:
    prompt = "transcribe speech to text"
    assert classes("good morning", "transcribe speech to text good morning", prompt) == ["over_long", "prompt_leak"]
    assert classes("please transcribe speech to text now", "please transcribe speech to text no", prompt) == []
    assert classes("good morning", "speech to text", prompt) == []
    assert classes("good", "user assistant", "user assistant") == ["prompt_leak"]  # a short prompt leaks as a whole


def test_an_utterance_without_errors_has_no_class() -> None:
    assert list(Classifier().classes(["a"] * 9, ["a"] * 9, "a", "a", 0)) == []


def test_sums_keep_speech_and_silence_apart() -> None:
    found, tally = Insertions(), Tally()
    rows = [(Counts(10, 1, 2, 0), []), (Counts(0, 0, 6, 0), ["silence"]), (Counts(0, 0, 0, 0), []), (Counts(5, 0, 0, 5), ["empty"])]
    for place, (counts, names) in enumerate(rows):
        tally.add(counts)
        found.add(f"u{place}", counts, names)
    made = found.summary(tally, silence_seconds=90.0)
    assert (made["speech_utterances"], made["speech_insertions"]) == (2, 2)
    assert made["speech_insertion_rate"] == pytest.approx(100 * 2 / 15, abs=1e-3)
    assert (made["silence_utterances"], made["silence_utterances_with_output"], made["silence_units"]) == (2, 1, 6)
    assert made["silence_units_per_minute"] == 4.0
    assert made["hallucinated_utterances"] == 1  # nothing at all is a deletion, not a hallucination
    assert made["classes"] == {**dict.fromkeys(CLASSES, 0), "silence": 1, "empty": 1}
    assert found.summary(tally, None)["silence_units_per_minute"] is None
