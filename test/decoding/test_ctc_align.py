"""Time stamps against enumeration; refused where there is nothing to align with."""

from __future__ import annotations

import pytest
import torch

from speechlm.core.seq import Seq
from speechlm.decoding.ctc_align import Span, align
from test.reference.ctc_prefix import best_path_of, collapse


@pytest.mark.parametrize("seed", range(5))
def test_alignment_is_the_best_path(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = Seq(torch.randn(2, 6, 4, generator=generator), torch.tensor([6, 5]))
    texts = [[1, 1, 3], [2]]
    for spans, row, text in zip(align(logits, texts), logits.rows(), texts, strict=True):
        log_probs = row.double().log_softmax(-1).numpy()
        path, _ = best_path_of(log_probs, tuple(text))
        assert [s.token for s in spans] == text
        said = [0] * len(path)
        for span in spans:
            said[span.start : span.end] = [span.token] * (span.end - span.start)
            mean = log_probs[span.start : span.end, span.token].mean()
            assert span.score == pytest.approx(mean, abs=1e-5)
        assert tuple(said) == path
        assert list(collapse(path)) == text


def test_padding_does_not_matter_and_seconds_follow() -> None:
    row = torch.full((4, 3), -9.0)
    row[0, 0] = row[1, 2] = row[2, 2] = row[3, 0] = 9.0
    longer = Seq(torch.stack([torch.cat([row, torch.full((3, 3), 5.0)])]), torch.tensor([4]))
    (span,) = align(longer, [[2]])[0]
    assert (span.start, span.end) == (1, 3)
    assert span.seconds(0.04) == pytest.approx((0.04, 0.12))
    assert Span(2, 1, 3, 0.0).seconds(0.5) == (0.5, 1.5)


def test_no_ctc_head_is_refused() -> None:
    with pytest.raises(ValueError, match="no CTC head"):
        align(None, [[1]])


@pytest.mark.parametrize(
    ("text", "message"), [([1, 1, 1], "need 5 frames"), ([0], "between 1 and 3"), ([4], "between 1 and 3")]
)
def test_impossible_texts_are_refused(text: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(Seq(torch.randn(1, 4, 4), torch.tensor([4])), [text])


def test_an_empty_text_has_no_spans() -> None:
    assert align(Seq(torch.randn(1, 4, 4), torch.tensor([4])), [[]]) == [[]]
