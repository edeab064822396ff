import torch
from hypothesis import given
from hypothesis import strategies as st

from speechlm.core.seq import Seq, mask_of


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_rows_and_of_are_inverse(lens: list[int]) -> None:
    rows = [torch.randn(n, 3) for n in lens]
    seq = Seq.of(rows)
    assert seq.data.shape == (len(lens), max(lens), 3)
    assert all(torch.equal(a, b) for a, b in zip(seq.rows(), rows, strict=True))
    assert seq.mask.sum(1).tolist() == lens


def test_zero_padding_touches_padding_only() -> None:
    data = torch.ones(2, 4, 3)
    seq = Seq(data, torch.tensor([4, 1])).zero_padding()
    assert seq.data[0].eq(1).all() and seq.data[1, 0].eq(1).all() and seq.data[1, 1:].eq(0).all()
    ids = Seq(torch.ones(1, 3, dtype=torch.int64), torch.tensor([2])).zero_padding()
    assert ids.data.tolist() == [[1, 1, 0]] and ids.data.dtype == torch.int64


def test_mask_true_means_real() -> None:
    assert mask_of(torch.tensor([0, 2]), 3).tolist() == [[False] * 3, [True, True, False]]
