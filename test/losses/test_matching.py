"""The matching loss against a loop over utterances, its notes and its picture."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from speechlm.core.batch import Batch, Output
from speechlm.core.seq import Seq
from speechlm.losses.matching import MatchingLoss
from test.paths import ROOT

DIM = 12
BATCH = Batch(["a"], Seq(torch.zeros(1, 0), torch.tensor([0])), torch.zeros(1), [""])


def make(scale: float = 1.0) -> Output:
    torch.manual_seed(0)
    speech = Seq.of([torch.randn(n, DIM) for n in (6, 9, 4)], float("nan"))
    text = Seq.of([torch.randn(n, DIM) * scale for n in (3, 0, 5)], float("nan"))
    return Output(speech_embeddings=speech, text_embeddings=text)


def scores_of(loss: MatchingLoss, speech: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    if loss.attention == "projection":
        return loss.key(speech) @ loss.query(token) / loss.key.out_features**0.5
    if loss.attention == "normalised":
        return F.normalize(speech, dim=-1) @ F.normalize(token, dim=0)
    return speech @ token / (DIM**0.5 if loss.attention == "scaled" else 1)


def slowly(output: Output, loss: MatchingLoss) -> torch.Tensor:
    total = torch.zeros(())
    assert output.speech_embeddings is not None and output.text_embeddings is not None
    for speech, text in zip(output.speech_embeddings.rows(), output.text_embeddings.rows(), strict=True):
        for token in text:
            read = (scores_of(loss, speech, token) / loss.temperature).softmax(0) @ speech
            error = (read - token).square()
            squared = {"mean": error.mean(), "sum": error.sum(), "relative": error.sum() / token.square().sum()}
            total = (
                total + loss.mse * squared[loss.mse_over] + loss.cosine * (1 - F.cosine_similarity(read, token, dim=0))
            )
    return total


@pytest.mark.parametrize("attention", ["dot", "scaled", "normalised", "projection"])
@pytest.mark.parametrize(
    "options", [{}, {"mse": 3.0, "cosine": 0.0}, {"mse_over": "sum", "temperature": 0.5}, {"mse_over": "relative"}]
)
@torch.no_grad()
def test_equals_the_loop(attention: Any, options: dict[str, Any]) -> None:
    loss, output = MatchingLoss(DIM, attention=attention, **options), make()
    total, count = loss(output, BATCH)
    torch.testing.assert_close(total, slowly(output, loss))
    assert count.item() == 8


def test_the_text_side_gets_no_gradient_and_the_speech_side_does() -> None:
    output = make()
    assert output.speech_embeddings is not None and output.text_embeddings is not None
    output.speech_embeddings.data.requires_grad_()
    output.text_embeddings.data.requires_grad_()
    MatchingLoss(DIM)(output, BATCH)[0].backward()
    assert output.text_embeddings.data.grad is None
    gradient = output.speech_embeddings.data.grad
    assert gradient is not None and (gradient[1] == 0).all(), "an utterance without text teaches nothing"
    assert gradient.isfinite().all() and gradient[0].abs().sum() > 0


@torch.no_grad()
def test_small_embeddings_leave_scaled_dots_uniform_and_normalised_ones_not() -> None:
    """The hazard that the default avoids: embeddings of the size that LLMs have."""
    found = {}
    for attention in ("scaled", "normalised"):
        output = make(scale=0.015)
        MatchingLoss(DIM, attention=attention)(output, BATCH)
        found[attention] = output.notes["matching_entropy"] / output.notes["matching_entropy_uniform"]
    assert found["scaled"] > 0.999 and found["normalised"] < 0.8


@torch.no_grad()
def test_entropy_in_nats() -> None:
    same = Seq(torch.ones(1, 7, DIM), torch.tensor([7]))
    output = Output(speech_embeddings=same, text_embeddings=Seq(torch.ones(1, 2, DIM), torch.tensor([2])))
    MatchingLoss(DIM)(output, BATCH)
    assert output.notes["matching_entropy"] == pytest.approx(math.log(7), rel=1e-5)
    assert output.notes["matching_entropy_uniform"] == pytest.approx(math.log(7), rel=1e-5)


def test_maps_for_the_picture() -> None:
    loss, output = MatchingLoss(DIM), make()
    maps = loss.maps(output)
    assert [tuple(row.shape) for row in maps] == [(3, 6), (0, 9), (5, 4)]
    torch.testing.assert_close(maps[2].sum(-1), torch.ones(5))
    speech, text = output.speech_embeddings, output.text_embeddings
    assert speech is not None and text is not None
    nearest = F.cosine_similarity(text.rows()[0][:, None], speech.rows()[0][None], dim=-1).argmax(-1)
    assert maps[0].argmax(-1).tolist() == nearest.tolist()


@torch.no_grad()
def test_speech_that_matches_costs_nothing() -> None:
    text = torch.randn(1, 4, DIM)
    speech = Seq(text.repeat_interleave(3, dim=1), torch.tensor([12]))
    output = Output(speech_embeddings=speech, text_embeddings=Seq(text, torch.tensor([4])))
    total, _ = MatchingLoss(DIM, temperature=0.001)(output, BATCH)
    assert total.item() == pytest.approx(0, abs=1e-4)


def test_decoding_has_no_way_to_it() -> None:
    """Neither a model nor the search imports a loss, so nothing of it can run, or be stored, when decoding."""
    files = [*(ROOT / "speechlm/models").glob("*.py"), *(ROOT / "speechlm/decoding").glob("*.py")]
    assert (
        len(files) > 2 and [file.name for file in files if "speechlm.losses" in file.read_text(encoding="utf-8")] == []
    )


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "additive"},
        {"mse_over": "max"},
        {"temperature": -1.0},
        {"mse": 0.0, "cosine": 0.0},
        {"attention_dim": 8},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="^loss matching: "):
        MatchingLoss(DIM, **options)
