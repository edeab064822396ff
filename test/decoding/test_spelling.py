"""Bans on characters where characters are several byte tokens; no broken UTF-8."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.llm import LLMBeamSearch
from speechlm.decoding.spelling import Spelling, token_pieces
from test.decoding.tiny import WIDTH, tiny_model
from test.reference.beam_search import beam_search

TEXTS = ["\u4e00", "\u4e01", "\u4e8c", "a", "b", "\u4e00\u4e01", "ab", "b\u4e00", "\u00e9", " "]
BYTES = sorted({bytes([byte]) for text in TEXTS for byte in text.encode()})
PIECES = [b"", b"", b""] + [text.encode() for text in TEXTS] + BYTES
PIECES += [PIECES[i] for i in range(3, 3 + 40 - len(PIECES))]  # the tiny models have 40 tokens
END = 1


def scores_of(model: nn.Module, prompt: torch.Tensor, spelled: Sequence[bytes], ngram: int, valid: bool) -> object:
    """Read the whole text again for every score, and ban by looking at the whole text."""

    def allowed(tokens: tuple[int, ...]) -> bool:
        raw = b"".join(spelled[token] for token in tokens)
        if valid:
            try:
                raw.decode()
            except UnicodeDecodeError as error:  # an unfinished last character may still become one
                if tokens[-1] == END or error.reason != "unexpected end of data":
                    return False
        whole = raw.decode(errors="ignore") if valid else _loose(raw)
        runs = [whole[i : i + ngram] for i in range(len(whole) - ngram + 1)] if ngram else []
        return len(set(runs)) == len(runs)

    def _loose(raw: bytes) -> str:
        for cut in range(4):
            head = raw[: len(raw) - cut]
            text = head.decode(errors="replace")
            if cut == 0 and not text.endswith("\ufffd"):
                return text
            tail = raw[len(raw) - cut :] if cut else b""
            try:
                tail.decode()
            except UnicodeDecodeError as error:
                if error.reason == "unexpected end of data" and error.start == 0:
                    return text
        return raw.decode(errors="replace")

    @torch.inference_mode()
    def scores(text: tuple[int, ...]) -> list[float]:
        rows = prompt if not text else torch.cat([prompt, model.get_input_embeddings()(torch.tensor(text))])
        log_probs = model(inputs_embeds=rows[None]).logits[0, -1].log_softmax(-1).tolist()
        return [
            value if token == END and not valid or allowed((*text, token)) else -math.inf
            for token, value in enumerate(log_probs)
        ]

    return scores


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("ngram", "valid"), [(0, True), (1, True), (2, True), (2, False), (3, True)])
def test_search_with_spelling_is_the_slow_search(seed: int, ngram: int, valid: bool) -> None:
    model = tiny_model("llama", seed)
    prompts = [torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed + n)) for n in (3, 6)]
    options = SearchOptions(
        beam=3,
        nbest=3,
        no_repeat_ngram=ngram,
        no_repeat_unit="character",
        valid_text=valid,
        early_stopping="never",
        batch_slots=2,
    )
    search = LLMBeamSearch(model, model.get_input_embeddings(), [END], options, pieces=PIECES)
    for prompt, found in zip(prompts, search.search(Seq.of(prompts), [9, 9]), strict=True):
        truth = beam_search(scores_of(model, prompt, PIECES, ngram, valid), beam=3, ends=[END], limit=9, early="never")
        assert [h.score for h in found] == pytest.approx([f.score for f in truth], abs=1e-4)
        for h, f in zip(found, truth, strict=True):
            cut = f.tokens if not valid else f.tokens[: Spelling(PIECES, [END]).trim(list(f.tokens))]
            assert tuple(h.tokens) == tuple(cut)
            if valid:
                b"".join(PIECES[token] for token in h.tokens).decode()  # raises if it is no UTF-8


def test_a_token_ban_would_destroy_what_a_character_ban_allows() -> None:
    """Three different characters that share their first byte tokens are no repetition."""
    text = "\u4e00\u4e01\u4e02"
    pieces = [b""] + [bytes([byte]) for byte in range(256)]
    tokens = [byte + 1 for byte in text.encode()]
    spelling = Spelling(pieces, [0], ngram=2)
    for end in range(len(tokens)):
        before, rest = spelling.read(tokens[:end])
        assert spelling.allowed(before, rest, spelling.runs(before), tokens[end])
    pairs = list(zip(tokens, tokens[1:], strict=False))
    assert len(set(pairs)) < len(pairs)  # what a ban on 2 tokens would forbid
    again, rest = spelling.read(tokens + tokens[:5])
    assert not spelling.allowed(
        again, rest, spelling.runs(again), tokens[5]
    )  # the second character twice behind the first


def test_options_that_need_spelling_say_so() -> None:
    model = tiny_model("llama")
    for options, name in [
        (SearchOptions(valid_text=True), "valid_text"),
        (SearchOptions(no_repeat_ngram=2, no_repeat_unit="character"), "no_repeat_unit"),
    ]:
        with pytest.raises(ValueError, match=f"{name}: needs the bytes"):
            LLMBeamSearch(model, model.get_input_embeddings(), [1], options)


def tokenizer_of(vocabulary: dict[str, int], decoder: object, fallback: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=fallback))
    tokenizer.decoder = decoder
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


def test_pieces_of_byte_level_bpe() -> None:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [level.pre_tokenize_str(text)[0][0] for text in ("\u4e2d", "abc")] + ["\u0120the", "\u00e4"]
    names = ["<unk>", "</s>", *words]
    pieces = token_pieces(tokenizer_of({name: i for i, name in enumerate(names)}, decoders.ByteLevel()), 8)
    assert pieces == [b"", b"", "\u4e2d".encode(), b"abc", b" the", b"\xe4", b"", b""]


def test_pieces_of_sentencepiece_with_byte_fallback() -> None:
    names = ["<unk>", "</s>", "<0xE4>", "\u2581the", "\u4e2d"]
    decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    pieces = token_pieces(tokenizer_of({name: i for i, name in enumerate(names)}, decoder, True), 5)
    assert pieces == [b"", b"", b"\xe4", b" the", "\u4e2d".encode()]


def test_pieces_of_a_plain_vocabulary() -> None:
    pieces = token_pieces(tokenizer_of({"<unk>": 0, "</s>": 1, "\u4e2d": 2, "a": 3}, decoders.Fuse()), 4)
    assert pieces == [b"", b"", "\u4e2d".encode(), b"a"]
