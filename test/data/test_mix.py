"""Mixing data sets by shares: the shares hold, nothing is lost over the epochs, the same epoch is always the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from speechlm.core.errors import UserError
from speechlm.data.mix import MixedDataset
from speechlm.data.sampler import DurationSampler
from test.training.toy import ToySet


def parts_of(mixed: MixedDataset, indices: np.ndarray) -> Counter[int]:
    return Counter((np.searchsorted(mixed.starts, indices, side="right") - 1).tolist())


def test_share_of_non_speech() -> None:
    mixed = MixedDataset([ToySet(190), ToySet(30)], [None, 0.05])
    for epoch in range(3):
        chosen = mixed.choose(epoch)
        assert parts_of(mixed, chosen) == {0: 190, 1: 10}
        assert len(set(chosen.tolist())) == 200
    seen = {int(i) for epoch in range(3) for i in mixed.choose(epoch) if i >= 190}
    assert seen == set(range(190, 220)), "three epochs of 10 go once through all 30"


def test_small_set_is_gone_through_several_times() -> None:
    mixed = MixedDataset([ToySet(90), ToySet(4)], [None, 0.1])
    counts = Counter(int(i) for i in mixed.choose(0) if i >= 90)
    assert sum(counts.values()) == 10
    assert max(counts.values()) - min(counts.values()) <= 1


def test_all_with_shares() -> None:
    mixed = MixedDataset([ToySet(60), ToySet(60), ToySet(60)], [0.6, 0.3, 0.1])
    assert parts_of(mixed, mixed.choose(4)) == {0: 60, 1: 30, 2: 10}


def test_sets_without_share_are_simply_joined() -> None:
    mixed = MixedDataset([ToySet(5), ToySet(3)], [None, None])
    assert sorted(mixed.choose(7).tolist()) == list(range(8))


def test_an_epoch_is_fixed_by_seed_and_number() -> None:
    def make(seed: int) -> MixedDataset:
        return MixedDataset([ToySet(50), ToySet(50)], [None, 0.2], seed=seed)

    assert make(1).choose(3).tolist() == make(1).choose(3).tolist()
    assert make(1).choose(3).tolist() != make(2).choose(3).tolist()


def test_reads_the_right_utterance() -> None:
    first, second = ToySet(5), ToySet(3)
    second.ids = [f"n{i}" for i in range(3)]
    mixed = MixedDataset([first, second], [None, None])
    assert [mixed.read(i, 0).id for i in range(len(mixed))] == mixed.ids
    assert mixed.sizes.tolist() == [*first.sizes, *second.sizes]


def test_sampler_takes_what_is_chosen() -> None:
    mixed = MixedDataset([ToySet(40), ToySet(40)], [None, 0.2])
    sampler = DurationSampler(mixed.sizes, batch_seconds=2.0, choose=mixed.choose)
    sampler.set_epoch(2)
    assert sorted(i for batch in sampler for i in batch) == sorted(mixed.choose(2).tolist())


@pytest.mark.parametrize(
    ("shares", "word"),
    [([None, 1.5], "at most 1"), ([0.5, 0.2], "add up to 1"), ([None, 1.0], "leave nothing"), ([0.0, None], "above 0")],
)
def test_says_what_is_wrong_with_shares(shares: list[float | None], word: str) -> None:
    with pytest.raises(UserError, match=word):
        MixedDataset([ToySet(5), ToySet(5)], shares)
