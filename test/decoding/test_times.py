"""Times of words by hand; refused where no head, or the wrong one, could tell them."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from speechlm.core.errors import UserError
from speechlm.decoding.times import WordTimes, ctc_is_trained, grouped, make_times
from speechlm.text.bpe import BpeTokenizer
from speechlm.text.pinyin_tokens import PinyinTokenizer
from speechlm.text.tokens import CharTokenizer, Tokenizer, WordTokenizer

CHARS = CharTokenizer.build(["hi you all", "我有WIFI"], language="zh")


def said(tokenizer: Tokenizer, frames: list[str | int], sure: float = 0.9) -> torch.Tensor:
    """Logits (T, V) of a head that is as sure as `sure` of one unit (or id) at each frame."""
    rest = math.log((1 - sure) / (tokenizer.size - 1))
    data = torch.full((len(frames), tokenizer.size), rest)
    for t, unit in enumerate(frames):
        data[t, tokenizer.ids[unit] if isinstance(unit, str) else unit] = math.log(sure)
    return data


def rows(times: list) -> list[tuple[str, float, float]]:
    return [(word.word, word.start, round(word.start + word.seconds, 4)) for word in times]


B = "<blank>"


def test_words_and_characters_by_hand() -> None:
    frames = [B, "H", "I", "I", B, "▁", B, "Y", "O", "U", B]
    data = said(CHARS, frames)
    words = WordTimes(CHARS, 0.04, "word").of(data, "hi you", 0.44)
    assert rows(words.words) == [("HI", 0.04, 0.16), ("YOU", 0.28, 0.4)]
    assert [word.confidence for word in words.words] == [0.9, 0.9]
    letters = WordTimes(CHARS, 0.04, "char").of(data, "hi you", 0.44)
    assert "".join(word.word for word in letters.words) == "HIYOU"
    assert rows(letters.words)[1] == ("I", 0.08, 0.16)


def test_confidence_is_the_mean_over_the_units() -> None:
    data = torch.cat([said(CHARS, ["H"], 0.8), said(CHARS, ["I"], 0.4)])
    (word,) = WordTimes(CHARS, 0.1, "word").of(data, "hi", 1.0).words
    assert word.confidence == pytest.approx(0.6, abs=1e-4)


def test_han_characters_are_words_of_their_own_and_latin_letters_stay_together() -> None:
    frames = ["我", "有", B, "W", "I", "F", "I", B]
    times = WordTimes(CHARS, 0.1, "word").of(said(CHARS, frames), "我有wifi。", 0.65)
    assert rows(times.words) == [("我", 0.0, 0.1), ("有", 0.1, 0.2), ("WIFI", 0.3, 0.65)], "the end of the audio cuts"


def test_other_units_spell_words_too() -> None:
    word = WordTokenizer.build(["how are you"], language="en")
    times = WordTimes(word, 0.1, "word").of(said(word, ["how", B, "are", "you"]), "How are you?", 9)
    assert rows(times.words) == [("how", 0.0, 0.1), ("are", 0.2, 0.3), ("you", 0.3, 0.4)]
    bpe = BpeTokenizer.build(["the sun shines and the sun sets"] * 5, size=18, language="en")
    pieces = bpe.split("the sun shines")
    assert len(pieces) > 3
    times = WordTimes(bpe, 0.1, "word").of(said(bpe, [*pieces]), "the sun shines", 9)
    assert [word.word for word in times.words] == ["the", "sun", "shines"]
    last = times.words[-1]
    assert times.words[0].start == 0 and last.start + last.seconds == pytest.approx(0.1 * len(pieces))


def test_units_of_a_search_keep_their_unknown_ones_out_of_the_text() -> None:
    ids = [CHARS.ids["H"], 1, CHARS.ids["I"], CHARS.ids["▁"], CHARS.ids["A"]]
    times = WordTimes(CHARS, 0.1, "word").of(said(CHARS, [*ids]), ids, 9)
    assert [word.word for word in times.words] == CHARS.decode(ids).split() == ["HI", "A"]
    assert rows(times.words)[0] == ("HI", 0.0, 0.3)


def test_what_cannot_have_been_said_has_a_reason_and_no_times() -> None:
    times = WordTimes(CHARS, 0.1, "word").of(said(CHARS, [B] * 3), "all", 0.3)
    assert times.words == [] and times.reason == "3 units need 4 encoder steps, there are 3"
    assert WordTimes(CHARS, 0.1, "word").of(said(CHARS, [B]), "", 0.1).words == []


def test_grouped() -> None:
    assert grouped([" ", " a", None, "b ", "c"], "word") == [("ab", [1, 3]), ("c", [4])]
    assert grouped(["a", "b"], "char") == [("a", [0]), ("b", [1])]


def test_units_that_cannot_tell_are_refused() -> None:
    pinyin = PinyinTokenizer.build(["你好"])
    with pytest.raises(UserError, match="units are pinyin and do not spell the text"):
        WordTimes(pinyin, 0.04, "word")
    with pytest.raises(UserError, match="char needs a CTC head on characters, its units are word"):
        WordTimes(WordTokenizer.build(["a"]), 0.04, "char")
    with pytest.raises(UserError, match="hears no audio"):
        WordTimes(CHARS, 0.0, "word")


LLM = {"llm": {"kind": "causal"}}


def test_a_head_must_have_been_trained(tmp_path: Path) -> None:
    ctc = {"losses": [{"kind": "lm", "weight": 1.0}, {"kind": "ctc", "weight": 0.3}]}
    zero = {"losses": [{"kind": "lm", "weight": 1.0}, {"kind": "ctc", "weight": 0.0}]}
    assert ctc_is_trained({}) and ctc_is_trained({**LLM, **ctc})
    assert not ctc_is_trained(LLM) and not ctc_is_trained({**LLM, **zero})
    assert not ctc_is_trained({"head": {"kind": "transducer"}})
    (tmp_path / "options.yaml").write_text(yaml.safe_dump({"train": {"start_from": [str(tmp_path)]}, **LLM, **ctc}))
    assert ctc_is_trained({**LLM, "train": {"start_from": [str(tmp_path)]}})
    (tmp_path / "options.yaml").write_text(yaml.safe_dump({"train": {"start_from": [str(tmp_path)]}, **LLM}))
    assert not ctc_is_trained({**LLM, "train": {"start_from": [str(tmp_path), str(tmp_path / "gone")]}})
    model = SimpleNamespace(head=object(), encoder=SimpleNamespace(seconds_per_step=0.04))
    for values, given, tokenizer in ((LLM, model, CHARS), ({}, SimpleNamespace(head=None), CHARS), ({}, model, None)):
        assert make_times(values, given, tokenizer, "none") is None
        with pytest.raises(UserError, match=r"^decode\.times: the experiment has no trained CTC head .*none\)?$"):
            make_times(values, given, tokenizer, "word")
    assert make_times({}, model, CHARS, "word") is not None
