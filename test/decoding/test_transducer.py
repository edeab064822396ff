"""Transducer search: exact where the beam is wide, the same alone and in any batch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from speechlm.core.batch import Batch
from speechlm.core.errors import UserError
from speechlm.core.seq import Seq
from speechlm.decoding.constraints import SearchOptions
from speechlm.decoding.recognizer import Recognizer
from speechlm.decoding.transducer import transducer_greedy
from speechlm.decoding.transducer_beam import transducer_beam
from speechlm.encoders.conformer import ConformerEncoder
from speechlm.heads.transducer import TransducerHead
from speechlm.models.transducer import Transducer
from speechlm.options import DecodeOptions
from test.reference.transducer_beam import all_sequences, greedy, sequence_log_prob

VOCAB = 4
LENS = [3, 2, 4, 1, 0]


def head(seed: int = 0, scale: float = 3.0, vocab: int = VOCAB, **options: Any) -> TransducerHead:
    """A head with peaked scores; `scale` makes it sure of itself."""
    torch.manual_seed(seed)
    made = TransducerHead(5, vocab, predictor_dim=6, joint_dim=6, **options).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.mul_(scale)
    return made


def speech(lens: list[int], seed: int = 7) -> Seq:
    generator = torch.Generator().manual_seed(seed)
    return Seq.of([torch.randn(n, 5, generator=generator) for n in lens], float("nan"))


@pytest.mark.parametrize("combine", ["additive", "multiplicative"])
@pytest.mark.parametrize("seed", range(2))
def test_a_wide_beam_finds_what_enumeration_finds(seed: int, combine: Any) -> None:
    part, encoded = head(seed, combine=combine), speech([2, 1, 3], seed)
    for row, found in zip(encoded.rows(), transducer_beam(part, encoded, beam=60, nbest=5, max_symbols=1), strict=True):
        wanted = all_sequences(part, row, VOCAB, longest=len(row))[:5]
        size = len(wanted)
        assert [h.tokens for h in found][:size] == [tokens for _, tokens in wanted]
        torch.testing.assert_close([h.score for h in found][:size], [score for score, _ in wanted], atol=1e-4, rtol=1e-4)


def test_a_narrow_beam_never_counts_an_alignment_twice() -> None:
    for seed in range(3):
        part, encoded = head(seed, scale=2.0), speech([4], seed)
        for beam in (1, 3, 6):
            for found in transducer_beam(part, encoded, beam=beam, nbest=beam, max_symbols=1)[0]:
                assert found.score <= sequence_log_prob(part, encoded.data[0], tuple(found.tokens)) + 1e-4
                assert len(found.tokens) == len(found.token_scores)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_is_a_plain_loop(seed: int) -> None:
    part, encoded = head(seed), speech(LENS, seed)
    for max_symbols in (1, 2, 5):
        found = transducer_greedy(part, encoded, max_symbols=max_symbols)
        assert [h.tokens for h in found] == [greedy(part, row, max_symbols) for row in encoded.rows()]
        assert all(len(h.tokens) == len(h.token_scores) for h in found)
    assert found[-1].tokens == [] and found[-1].score == 0.0


def test_greedy_score_is_that_of_its_path() -> None:
    """One step, one symbol: the path is unit, forced blank, or blank alone."""
    part, encoded = head(3), speech([1], 3)
    (found,) = transducer_greedy(part, encoded, max_symbols=1)
    assert found.score == pytest.approx(sequence_log_prob(part, encoded.data[0], tuple(found.tokens)), abs=1e-5)


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_alone_in_a_batch_and_in_any_order(search: str) -> None:
    part, encoded = head(1, vocab=9), speech([6, 2, 9, 1, 0, 5])

    def run(batch: Seq) -> list[list[Any]]:
        if search == "greedy":
            return [[h] for h in transducer_greedy(part, batch)]
        return transducer_beam(part, batch, beam=4, nbest=3)

    whole = run(encoded)
    assert any(len(found[0].tokens) > 2 for found in whole)
    back = run(Seq(encoded.data.flip(0), encoded.lens.flip(0)))[::-1]
    alone = [run(Seq.of([row]))[0] for row in encoded.rows()]
    for found, *others in zip(whole, back, alone, strict=True):
        for other in others:
            assert [h.tokens for h in found] == [h.tokens for h in other]
            torch.testing.assert_close([h.score for h in found], [h.score for h in other], atol=1e-4, rtol=1e-4)


def test_a_head_that_never_puts_out_a_blank_ends() -> None:
    part = head()
    part.output.bias[0] = -1e4
    assert [len(h.tokens) for h in transducer_greedy(part, speech([3, 1]), max_symbols=2)] == [6, 2]
    found = transducer_beam(part, speech([3, 1]), beam=2, nbest=2, max_symbols=2)
    assert max(len(h.tokens) for h in found[0]) == 6 and max(len(h.tokens) for h in found[1]) <= 2


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="^nbest: must be between 1 and beam"):
        transducer_beam(head(), speech([2]), beam=2, nbest=3)
    for search in (transducer_greedy, transducer_beam):
        with pytest.raises(UserError, match="^max_symbols: "):
            search(head(), speech([2]), max_symbols=0)


@pytest.mark.parametrize("beam", [1, 4])
def test_recognizer(beam: int) -> None:
    """decode.kind auto takes the transducer's own search; the result is that of the search, as text."""
    encoder = ConformerEncoder(8, dim=5 * 4, layers=1, heads=2, ffn_dim=16, kernel=3, channels=4)
    torch.manual_seed(1)
    model = Transducer(encoder, TransducerHead(20, VOCAB, predictor_dim=6, joint_dim=6)).eval()
    model.head.output.weight.data.mul_(20)
    feats = Seq.of([torch.randn(40, 8), torch.randn(17, 8)])
    batch = Batch(["a", "b"], feats, torch.tensor([0.4, 0.17]), ["", ""])
    decode = {**asdict(DecodeOptions()), **asdict(SearchOptions(beam=beam, nbest=min(beam, 2)))}
    found = Recognizer(model, decode, units=lambda ids: "".join("-abc"[i] for i in ids), kind="transducer").recognize(batch)
    encoded = model.encode(feats).encoded
    assert encoded is not None
    if beam == 1:
        wanted = [[h] for h in transducer_greedy(model.head, encoded)]
    else:
        wanted = transducer_beam(model.head, encoded, beam=beam, nbest=2)
    assert [[r.tokens for r in row] for row in found] == [[h.tokens for h in row] for row in wanted]
    assert any(r.text for row in found for r in row)
    with pytest.raises(UserError, match="^decode.kind: ctc needs"):
        Recognizer(model, {**decode, "kind": "ctc"}, kind="transducer").recognize(batch)
    with pytest.raises(UserError, match="^decode.kind: transducer needs"):
        Recognizer(torch.nn.Linear(1, 1), {**decode, "kind": "transducer"})
