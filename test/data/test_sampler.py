"""The sampler: every utterance once, within the limits, the same for the same (seed, epoch), even over ranks."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechlm.data.sampler import DurationSampler

SECONDS = np.random.default_rng(0).gamma(4.0, 1.5, 500)


def batches(sampler: DurationSampler) -> list[list[int]]:
    return list(sampler)


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.lists(st.floats(0.1, 40.0), min_size=1, max_size=60),
    world=st.integers(1, 4),
    most=st.integers(0, 5),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
)
def test_every_utterance_once_within_the_limits(
    seconds: list[float], world: int, most: int, epoch: int, shuffle: bool
) -> None:
    ranks = []
    for rank in range(world):
        sampler = DurationSampler(
            seconds, batch_seconds=20.0, max_utterances=most, rank=rank, world=world, shuffle=shuffle
        )
        sampler.set_epoch(epoch)
        ranks.append(batches(sampler))
    assert len({len(r) for r in ranks}) == 1, "every rank gets the same number of batches"
    every = [batch for r in ranks for batch in r]
    assert all(every)
    for batch in every:
        longest = max(seconds[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= 20.0 + 1e-9
        assert not most or len(batch) <= most
    seen = sorted(i for batch in every for i in batch)
    assert set(seen) == set(range(len(seconds)))
    repeated = len(seen) > len(seconds)
    assert not repeated or all(len(batch) == 1 for batch in every), "repeated only when nothing can be split"


def test_same_seed_and_epoch_same_batches_else_others() -> None:
    def make(seed: int, epoch: int) -> list[list[int]]:
        sampler = DurationSampler(SECONDS, batch_seconds=60.0, seed=seed)
        sampler.set_epoch(epoch)
        return batches(sampler)

    assert make(1, 2) == make(1, 2)
    assert make(1, 2) != make(1, 3)
    assert make(1, 2) != make(2, 2)
    # Not only the order: the members of the batches change, too.
    assert {frozenset(b) for b in make(1, 2)} != {frozenset(b) for b in make(1, 3)}


def test_without_shuffle_longest_first_and_always_the_same() -> None:
    sampler = DurationSampler(SECONDS, batch_seconds=60.0, shuffle=False)
    first = batches(sampler)
    sampler.set_epoch(5)
    assert batches(sampler) == first
    flat = [i for batch in first for i in batch]
    assert np.all(np.diff(SECONDS[flat]) <= 0)


def test_utterances_of_a_batch_are_about_as_long() -> None:
    """Padding by duration must waste far less than batches in random order."""

    def waste(made: list[list[int]]) -> float:
        padded = sum(len(b) * SECONDS[b].max() for b in made)
        return 1 - sum(SECONDS[b].sum() for b in made) / padded

    random = np.random.default_rng(1).permutation(len(SECONDS))
    assert waste(batches(DurationSampler(SECONDS, batch_seconds=60.0))) < 0.12
    assert waste([chunk.tolist() for chunk in np.array_split(random, 60)]) > 0.3


def test_ranks_get_batches_of_similar_duration_at_one_step() -> None:
    ranks = [batches(DurationSampler(SECONDS, batch_seconds=60.0, rank=r, world=2)) for r in range(2)]
    gaps = [abs(SECONDS[a].max() - SECONDS[b].max()) for a, b in zip(*ranks, strict=True)]
    others = [abs(SECONDS[a].max() - SECONDS[b].max()) for a, b in zip(ranks[0], ranks[1][1:], strict=False)]
    assert np.mean(gaps) < 0.3 * np.mean(others)


def test_position_is_restored_anywhere() -> None:
    one = DurationSampler(SECONDS, batch_seconds=60.0, seed=4)
    for _ in range(len(one) + 7):
        one.advance()
    assert one.epoch == 1 and one.index == 7
    other = DurationSampler(SECONDS, batch_seconds=60.0, seed=9)
    other.load_state_dict(one.state_dict())
    assert batches(other) == batches(one)
    whole = DurationSampler(SECONDS, batch_seconds=60.0, seed=4)
    whole.set_epoch(1)
    assert batches(whole)[7:] == batches(one)


def test_restoring_does_not_go_through_the_data() -> None:
    """Going to the last batch of epoch 1000 costs what going to the first batch of epoch 0 costs."""
    seconds = np.random.default_rng(0).gamma(4.0, 1.5, 100_000)

    def cost(epoch: int, share: float) -> float:
        sampler = DurationSampler(seconds, batch_seconds=600.0)
        size = len(sampler)
        start = time.perf_counter()
        state = {"seed": 0, "epoch": epoch, "index": int(share * (size - 1)), "batches": size, "world": 1}
        sampler.load_state_dict(state)
        next(iter(sampler))
        return time.perf_counter() - start

    early, late = min(cost(1, 0.0) for _ in range(3)), min(cost(1000, 1.0) for _ in range(3))
    assert late < 3 * early + 0.05


def test_other_number_of_ranks_goes_on_at_the_same_share(caplog: pytest.LogCaptureFixture) -> None:
    one = DurationSampler(SECONDS, batch_seconds=60.0)
    one.set_epoch(2, len(one) // 2)
    two = DurationSampler(SECONDS, batch_seconds=60.0, rank=1, world=2)
    with caplog.at_level(logging.WARNING):
        two.load_state_dict(one.state_dict())
    assert two.epoch == 2
    assert two.index / len(two) == pytest.approx(0.5, abs=0.05)
    assert "2 now" in caplog.text


def test_largest_has_the_most_padded_seconds() -> None:
    sampler = DurationSampler(SECONDS, batch_seconds=60.0)
    size = len(sampler.largest()) * SECONDS[sampler.largest()].max()
    assert size == max(len(batch) * SECONDS[batch].max() for batch in sampler)


def test_fewer_utterances_than_ranks_are_repeated() -> None:
    ranks = [batches(DurationSampler([1.0], batch_seconds=5.0, rank=r, world=3)) for r in range(3)]
    assert ranks == [[[0]]] * 3


@pytest.mark.parametrize(
    ("change", "word"), [({"seconds": []}, "one utterance"), ({"batch_seconds": 0.0}, "above 0"), ({"rank": 2}, "rank")]
)
def test_says_what_is_wrong(change: dict[str, object], word: str) -> None:
    given_values: dict[str, object] = {"seconds": [1.0], "batch_seconds": 5.0, **change}
    seconds = given_values.pop("seconds")
    with pytest.raises(ValueError, match=word):
        DurationSampler(seconds, **given_values)  # type: ignore[arg-type]
