"""What tokens spell, for constraints on characters where one character may be several byte tokens.

LLaMA-2 writes most Chinese characters as three tokens of one byte each; a ban on repeated tokens there forbids ordinary
Chinese (three characters of one block share their first bytes). So characters are counted, never bytes.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from speechlm.core.errors import UserError
from speechlm.decoding.filters import top_tokens

_STRICT, _LOOSE = (codecs.getincrementaldecoder("utf-8"), "strict"), (codecs.getincrementaldecoder("utf-8"), "replace")


class Spelling:
    """Allows or forbids the next token by what it spells.

    pieces: the bytes of every token; b"" for special tokens.
    ngram: no run of this many characters may occur twice in an answer, blanks between words counted; 0 allows it.
    valid: forbid bytes that are no UTF-8, and an end in the middle of a character.
    """

    def __init__(self, pieces: Sequence[bytes], end_ids: Sequence[int], *, ngram: int = 0, valid: bool = False) -> None:
        self.pieces = list(pieces)
        self.ends = frozenset(end_ids)
        self.ngram = ngram
        self.valid = valid

    def read(self, tokens: Sequence[int]) -> tuple[str, bytes]:
        """Spell tokens: whole characters, and the bytes of a character that is not complete yet."""
        make, errors = _LOOSE
        decoder = make(errors)
        text = decoder.decode(b"".join(self.pieces[token] for token in tokens))
        return text, decoder.getstate()[0]

    def allowed(self, text: str, rest: bytes, seen: frozenset[str], token: int) -> bool:
        """Say if `token` may follow `text`, whose runs are `seen`, and the unfinished bytes `rest`."""
        if token in self.ends:
            return not (self.valid and rest)
        make, errors = _STRICT if self.valid else _LOOSE
        try:
            new = make(errors).decode(rest + self.pieces[token])
        except UnicodeDecodeError:
            return False
        if not self.ngram or not new:
            return True
        own: set[str] = set()
        for end in range(len(text) + 1, len(text) + len(new) + 1):
            run = (text + new)[max(0, end - self.ngram) : end]
            if len(run) == self.ngram and (run in seen or run in own):
                return False
            own.add(run)
        return True

    def runs(self, text: str) -> frozenset[str]:
        """List the runs of `ngram` characters of a text."""
        if not self.ngram:
            return frozenset()
        return frozenset(text[i : i + self.ngram] for i in range(len(text) - self.ngram + 1))

    def top(self, logits: Tensor, suffixes: list[list[int]], count: int) -> tuple[Tensor, Tensor]:
        """Find the `count` best allowed tokens of each row (R, V): values and ids (R, count), -inf where none is left.

        Only as many of the best are looked at as are needed for that, so the result is exact.
        """
        states = [(*self.read(suffix), frozenset()) for suffix in suffixes]
        states = [(text, rest, self.runs(text)) for text, rest, _ in states]
        look = min(4 * count, logits.shape[1])
        while True:
            values, ids = top_tokens(logits, look)
            kept, enough = self._sift(values.tolist(), ids.tolist(), states, count)
            if enough or look == logits.shape[1]:
                break
            look = min(8 * look, logits.shape[1])
        places = torch.tensor(kept, device=logits.device)  # (R, count), -1 where nothing is left
        values = values.gather(1, places.clamp(min=0)).masked_fill(places < 0, -torch.inf)
        return values, ids.gather(1, places.clamp(min=0))

    def _sift(
        self,
        values: list[list[float]],
        ids: list[list[int]],
        states: list[tuple[str, bytes, frozenset[str]]],
        count: int,
    ) -> tuple[list[list[int]], bool]:
        """Give the places of the first `count` allowed candidates of each row, and whether no row had to stop short."""
        kept, enough = [], True
        for row, state in enumerate(states):
            places: list[int] = []
            for place, (value, token) in enumerate(zip(values[row], ids[row], strict=True)):
                if len(places) == count or value == -float("inf"):
                    break
                if self.allowed(*state, token):
                    places.append(place)
            else:
                enough &= len(places) == count
            kept.append(places + [-1] * (count - len(places)))
        return kept, enough

    def trim(self, tokens: list[int]) -> int:
        """Count the tokens that remain when a last, unfinished character is cut off."""
        keep = len(tokens)
        while keep and self.read(tokens[:keep])[1]:
            keep -= 1
        return keep


def _byte_alphabet() -> dict[str, int]:
    """Map the printable stand-ins of byte-level BPE (GPT-2) to their bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


def token_pieces(tokenizer: Any, size: int) -> list[bytes]:
    """List the bytes of tokens 0 ... size - 1 of a Hugging Face tokenizer; b"" for special and unused ones.

    Knows byte-level BPE (GPT-2, Qwen, Llama 3), sentencepiece with byte fallback (Llama 2) and plain vocabularies.
    Raises UserError for a tokenizer that does not say what it is.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"{type(tokenizer).__name__}: cannot say what its tokens spell; use a tokenizer with tokenizer.json"
        )
    decoder = json.dumps(json.loads(backend.to_str()).get("decoder"))
    alphabet = _byte_alphabet() if '"ByteLevel"' in decoder else None
    special = set(tokenizer.all_special_ids) | {
        i for i, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    pieces = [b""] * size
    for token, i in tokenizer.get_vocab().items():
        if i >= size or i in special:
            continue
        if alphabet is not None and all(char in alphabet for char in token):
            pieces[i] = bytes(alphabet[char] for char in token)
        elif '"ByteFallback"' in decoder and len(token) == 6 and token.startswith("<0x"):
            pieces[i] = bytes([int(token[3:5], 16)])
        elif '"Metaspace"' in decoder or "\\u2581" in decoder:
            pieces[i] = token.replace("\u2581", " ").encode()
        else:
            pieces[i] = token.encode()
    return pieces
