"""The list of hot words: reading it, spelling it in an LLM's tokens, counting what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from speechlm.core.errors import UserError
from speechlm.decoding.hot_phrases import contains, count_leaks, read_phrases, spellings
from speechlm.decoding.spelling import token_pieces
from speechlm.llms.tiny import make_character_tokenizer
from speechlm.llms.tokenizer import encode_text


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "hot"
    path.write_text("New York!\nMünchen\t2.5\n\n", encoding="utf-8")
    assert read_phrases(path, "en") == {"new york": 1.0, "münchen": 2.5}
    for text, message in (
        ("a\nb\tx\n", r"hot:2: the weight behind the tab must be a number above 0, is 'x'"),
        ("a\t0\n", "hot:1: the weight"), ("a\tnan\n", "hot:1: the weight"),
        ("ok\n!!\n", "hot:2: nothing is left of '!!'"),
        ("York\nyork\n", "hot:2: 'york' stands twice"),
        ("\n", "holds no phrase"),
    ):  # fmt: skip
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_phrases(path, "en")
    with pytest.raises(UserError, match=r"decode\.hot_words: .*no such file"):
        read_phrases(tmp_path / "other", "en")


def byte_tokenizer() -> object:
    """Byte-level BPE, as GPT-2, Qwen and Llama 3 have it."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["art start the art of art in york new york york art"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


def metaspace_tokenizer() -> object:
    """Words with a blank in front of each, the first one too, as sentencepiece writes them for Llama 2."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<eos>"], show_progress=False)
    backend.train_from_iterator(["art start the art of art in york new york york art 中 国"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


@pytest.mark.parametrize("make", [byte_tokenizer, metaspace_tokenizer])
def test_a_word_is_found_where_a_word_begins(make: object) -> None:
    tokenizer = make()
    pieces = token_pieces(tokenizer, len(tokenizer))

    def encode(text: str) -> list[int]:
        return encode_text(tokenizer, text)

    for word in ("art", "york", "new york"):
        ways = spellings(word, encode, pieces, "en")
        assert all(len(way.solid) == len(way.tokens) and any(way.solid) for way in ways)

        def begins(text: str, ways: list = ways) -> bool:
            tokens = tuple(encode(text))
            return any(
                tokens[i : i + len(way.tokens)] == way.tokens and not (way.at_start and i)
                for way in ways for i in range(len(tokens))
            )  # fmt: skip

        assert begins(word) and begins(f"the {word}") and begins(f"the {word} of")
        assert not begins("the start") and not begins("start")


def test_characters() -> None:
    tokenizer = make_character_tokenizer(["中国北京"])
    pieces = token_pieces(tokenizer, len(tokenizer))

    def encode(text: str) -> list[int]:
        return encode_text(tokenizer, text)

    (way,) = spellings("中国", encode, pieces, "zh")
    assert way.tokens == tuple(encode("中国")) and way.solid == (True, True) and not way.at_start
    (way,) = spellings("A中", encode, pieces, "zh")  # no blank stands before it: 我A中
    assert way.tokens == tuple(encode("A中"))
    spaced, bare = spellings("art", encode, pieces, "en")
    assert spaced.tokens == tuple(encode(" art")) and spaced.solid == (False, True, True, True) and not spaced.at_start
    assert bare.tokens == tuple(encode("art")) and bare.at_start
    assert spellings("中山", encode, pieces, "zh") == []  # 山 has no token


def test_contains() -> None:
    assert contains("the art of war", "art") and contains("art", "art") and contains("new york city", "new york")
    assert not contains("start", "art") and not contains("artist", "art") and not contains("art's", "art")
    assert (
        contains("我在北京城", "北京")
        and contains("我用IPHONE打", "IPHONE")
        and not contains("我用IPHONES打", "IPHONE")
    )
    assert not contains("münchener", "münchen") and contains("in münchen", "münchen") and not contains("café", "caf")


def test_leaks_by_hand() -> None:
    pairs = [
        ("I saw New York", "i saw new york"),  # found
        ("I saw you work", "i saw york"),  # leaked
        ("york and new york", "york"),  # new york is missed; york is in both
        ("nothing here", "nothing hear"),
    ]
    found = count_leaks(["york", "new york"], pairs, "en")
    assert found == {"utterances": 4, "spoken": 4, "found": 3, "leaked": 1, "leak_rate": 0.25}
    assert count_leaks(["york"], [], "en")["leak_rate"] == 0.0
