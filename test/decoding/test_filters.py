"""Bans and penalties against loops over Python lists."""

from __future__ import annotations

import random

import pytest
import torch

from speechlm.decoding.filters import ban_ends, ban_ngrams, penalise_repeats, top_tokens


def rows(
    seed: int, count: int = 12, size: int = 9, longest: int = 15
) -> tuple[list[list[int]], torch.Tensor, torch.Tensor]:
    rng = random.Random(seed)
    texts = [[rng.randrange(size) for _ in range(rng.randint(0, longest))] for _ in range(count)]
    padded = [
        text + [rng.randrange(size) for _ in range(longest + 2 - len(text))] for text in texts
    ]  # rubbish behind the text
    return texts, torch.tensor(padded), torch.tensor([len(text) for text in texts])


@pytest.mark.parametrize("ngram", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_ngram_ban(seed: int, ngram: int) -> None:
    texts, tokens, lens = rows(seed)
    logits = torch.randn(len(texts), 9)
    before = logits.clone()
    ban_ngrams(logits, tokens, lens, ngram)
    for row, text in enumerate(texts):
        runs = {tuple(text[i : i + ngram]) for i in range(len(text) - ngram + 1)}
        for token in range(9):
            banned = tuple([*text, token][-ngram:]) in runs and len(text) >= ngram - 1
            assert logits[row, token] == (-torch.inf if banned else before[row, token])


@pytest.mark.parametrize("penalty", [1.3, 0.7])
def test_repetition_penalty(penalty: float) -> None:
    texts, tokens, lens = rows(7)
    logits = torch.randn(len(texts), 9)
    norm = torch.randn(len(texts), 1)
    before = logits.clone()
    penalise_repeats(logits, tokens, lens, penalty, norm)
    for row, text in enumerate(texts):
        for token in range(9):
            score = before[row, token] - norm[row, 0]
            if token in text:
                score = score * penalty if score < 0 else score / penalty
            assert logits[row, token] == pytest.approx(float(score + norm[row, 0]), abs=1e-6)


def test_end_ban() -> None:
    logits = torch.zeros(3, 5)
    ban_ends(logits, torch.tensor([0, 2, 3]), torch.tensor([1, 4]), 3)
    assert logits.isneginf().tolist() == [[False, True, False, False, True]] * 2 + [[False] * 5]


@pytest.mark.parametrize("size", [5, 63, 1024, 5000, 4096 + 17])
def test_top_tokens_is_topk(size: int) -> None:
    logits = torch.randn(7, size)
    logits[0, : size // 2] = -torch.inf
    logits[1] = -torch.inf
    logits[2, -1] = 9.0
    values, ids = top_tokens(logits, 8)
    truth = logits.topk(min(8, size), dim=1)
    assert torch.equal(values, truth.values)
    assert torch.equal(logits.gather(1, ids), truth.values)
    finite = ~truth.values.isinf()
    assert torch.equal(ids[finite], truth.indices[finite])
