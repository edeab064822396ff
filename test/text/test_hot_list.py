"""Lists of phrases for the prompt: what is drawn, that (seed, utterance, epoch) fixes it, and which options are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechlm.core.errors import UserError
from speechlm.text.hot_list import HotListOptions, HotLists, hot_list_options

ENGLISH = ["the quick brown fox jumps", "over a lazy dog", "my ship is full of eels", "", "one"]
CHINESE = ["今天天气很好", "我用IPHONE打电话", "北京欢迎你", "他们去公园散步了", ""]


def lists(texts: list[str], **options: float) -> HotLists:
    half = len(texts) // 2  # as if they were of two sets
    pools = [(half, texts.__getitem__), (len(texts) - half, lambda place: texts[half + place])]
    return HotLists(HotListOptions(**options), pools, lambda phrases: [len(phrase) for phrase in phrases])


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_the_same_key_draws_the_same_and_another_epoch_another(texts: list[str]) -> None:
    keys = [(f"1/u{number}/{epoch}", texts[number]) for epoch in range(3) for number in range(5)]
    one, two = (lists(texts, hot_share=0.9), lists(texts, hot_share=0.9))
    drawn = {key: one.phrases(text, key) for key, text in keys}
    assert {key: two.phrases(text, key) for key, text in reversed(keys)} == drawn
    assert drawn["1/u0/0"] != drawn["1/u0/1"] or drawn["1/u0/1"] != drawn["1/u0/2"]
    assert one.tokens(texts[0], "1/u0/0") == [len(phrase) for phrase in drawn["1/u0/0"]]


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_own_phrases_and_those_of_others_in_the_share_that_is_asked_for(texts: list[str]) -> None:
    drawer, sizes = lists(texts, hot_share=0.5, hot_max=4), Counter()
    own = others = 0
    for number in range(2000):
        text = texts[number % len(texts)]
        found = drawer.phrases(text, str(number))
        assert len(found) == len(set(found)) and all(any(phrase in one for one in texts) for phrase in found)
        own += sum(phrase in text for phrase in found)
        others += sum(phrase not in text for phrase in found)
        sizes[len(found)] += 1
    assert max(sizes) == 4 and min(sizes) == 0
    assert 0.45 < sizes[0] / 2000 < 0.55
    assert 0.3 < own / (own + others) < 0.6


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(("texts", "units", "most"), [(ENGLISH, words, 3), (CHINESE[:1] + CHINESE[2:], list, 6)])
def test_phrases_are_whole_words_or_some_characters(
    texts: list[str], units: Callable[[str], list[str]], most: int
) -> None:
    drawer = lists(texts, hot_share=1.0)
    seen = set()
    for number in range(500):
        for phrase in drawer.phrases(texts[0], str(number)):
            cut = units(phrase)
            assert 1 <= len(cut) <= most
            wholes = [units(one) for one in texts]
            assert any(one[i : i + len(cut)] == cut for one in wholes for i in range(len(one)))
            seen.add(len(cut))
    assert seen == set(range(1 if most == 3 else 2, most + 1))


def test_a_latin_word_among_characters_is_not_cut() -> None:
    drawer = lists(CHINESE, hot_share=1.0)
    found = {phrase for number in range(500) for phrase in drawer.phrases(CHINESE[1], str(number))}
    assert any("IPHONE" in phrase for phrase in found)
    assert all("IPHONE" in phrase for phrase in found if set(phrase) & set("IPHONE"))


@given(st.lists(st.text("ab 中国", max_size=8), min_size=1, max_size=4), st.integers(0, 99))
def test_any_text_will_do(texts: list[str], key: int) -> None:
    for text in texts:
        found = lists([" ".join(one.split()) for one in texts], hot_share=1.0).phrases(" ".join(text.split()), str(key))
        assert "" not in found and all(phrase == phrase.strip() for phrase in found)


def test_prompt_and_options_must_agree() -> None:
    plain, slot = {"prompt": "{speech}{text}{eos}"}, {"prompt": "{hot}{speech}{text}{eos}"}
    assert hot_list_options(plain) == HotListOptions()  # of before there were any
    assert hot_list_options({**slot, "hot_share": 0.5, "hot_max": 3}) == HotListOptions(0.5, 3)
    for text, llm, message in (
        (slot, True, "text.hot_share: is 0, but text.prompt has the slot {hot}"),
        ({**plain, "hot_share": 0.5}, True, "text.hot_share: is 0.5, but text.prompt has no slot {hot}"),
        ({**plain, "hot_join": "; "}, True, "text.hot_join: is '; ', but"),
        ({**slot, "hot_max": 3}, False, "text.hot_max: is 3, but there is no LLM to read it"),
        ({**slot, "hot_share": 1.5}, True, "text.hot_share: must be 0 to 1, is 1.5"),
        ({**slot, "hot_max": 0}, True, "text.hot_max: must be 1 or more"),
        ({**slot, "hot_join": ""}, True, "text.hot_join: must not be empty"),
    ):
        with pytest.raises(UserError) as caught:
            hot_list_options(text, llm=llm)
        assert str(caught.value).startswith(message)
