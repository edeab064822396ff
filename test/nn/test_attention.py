from __future__ import annotations

import pytest
import torch

from speechlm.nn.attention import SelfAttention, attention_mask, rotary_angles, rotate


def test_mask_shows_real_steps_only():
    mask = attention_mask(torch.tensor([3, 1]), 4)
    assert mask.shape == (2, 1, 1, 4)
    assert mask[:, 0, 0].tolist() == [[True, True, True, False], [True, False, False, False]]


def test_causal_mask_shows_no_later_step():
    mask = attention_mask(torch.tensor([3, 2]), 3, causal=True)
    assert mask[0, 0].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert mask[1, 0].tolist() == [[True, False, False], [True, True, False], [True, True, False]]


def test_an_empty_row_is_not_nan():
    attention = SelfAttention(8, 2, 0.0)
    mask = attention_mask(torch.tensor([0, 3]), 3)
    assert mask[0].any()
    y = attention(torch.randn(2, 3, 8), mask, rotary_angles(3, 4, torch.device("cpu")))
    assert torch.isfinite(y).all()


def test_rotation_keeps_norms_and_makes_scores_depend_on_distance():
    angles = rotary_angles(12, 6, torch.device("cpu"))
    query, key = torch.randn(6), torch.randn(6)
    queries, keys = (rotate(v.expand(1, 1, 12, 6), angles)[0, 0] for v in (query, key))
    torch.testing.assert_close(queries.norm(dim=1), query.norm().expand(12))
    scores = queries @ keys.T
    for distance in range(-4, 5):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[0].expand(len(diagonal)))
    assert scores.diagonal(1)[0] != pytest.approx(scores.diagonal(-1)[0].item())


def test_attention_is_the_written_out_sum():
    heads, size, dim = 2, 5, 12
    attention = SelfAttention(dim, heads, 0.0)
    x, angles = torch.randn(2, size, dim), rotary_angles(size, 6, torch.device("cpu"))
    lens = torch.tensor([5, 3])
    out = attention(x, attention_mask(lens, size), angles)
    for row, length in enumerate(lens.tolist()):
        parts = []
        for head in range(heads):
            part = slice(6 * head, 6 * head + 6)
            projections = (attention.q_proj, attention.k_proj)
            query, key = (rotate(p(x[row])[None, None, :, part], angles)[0, 0] for p in projections)
            value = attention.v_proj(x[row])[:, part]
            rows = []
            for t in range(length):
                weights = torch.softmax(torch.stack([query[t] @ key[s] / 6**0.5 for s in range(length)]), 0)
                rows.append(sum(weights[s] * value[s] for s in range(length)))
            parts.append(torch.stack(rows))
        torch.testing.assert_close(out[row, :length], attention.out_proj(torch.cat(parts, 1)))


def test_dropout_acts_in_training_only():
    attention = SelfAttention(8, 2, 0.5)
    given = (torch.randn(1, 4, 8), attention_mask(torch.tensor([4]), 4), rotary_angles(4, 4, torch.device("cpu")))
    attention.eval()
    assert torch.equal(attention(*given), attention(*given))
    attention.train()
    assert not torch.equal(attention(*given), attention(*given))


@pytest.mark.parametrize("dim, heads", [(10, 3), (6, 2)])
def test_widths_that_do_not_fit_are_refused(dim, heads):
    with pytest.raises(ValueError, match=f"dim is {dim}, heads is {heads}"):
        SelfAttention(dim, heads, 0.0)
