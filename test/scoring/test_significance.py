"""Intervals and p-values against the theory, against Kaldi's definition done utterance by utterance, and by symmetry."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from speechlm.scoring.significance import bootstrap_interval, matched_pairs, paired_bootstrap, split_segments


def test_interval_is_the_theory_of_a_proportion() -> None:
    errors = [1] * 200 + [0] * 1800  # one word an utterance: the rate is a proportion
    found = bootstrap_interval([1] * 2000, errors)
    half = 1.96 * 100 * math.sqrt(0.1 * 0.9 / 2000)
    assert found.mean == pytest.approx(10, abs=0.05)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.04)


def test_drawing_equal_utterances_together_is_drawing_them_one_by_one() -> None:
    random_ = random.Random(3)
    words = [random_.randint(1, 3) for _ in range(400)]
    errors = [random_.randint(0, word) for word in words]
    found = bootstrap_interval(words, errors)
    generator = np.random.default_rng(7)
    drawn = generator.integers(400, size=(10_000, 400))  # Kaldi's loop
    rates = 100 * np.asarray(errors)[drawn].sum(1) / np.asarray(words)[drawn].sum(1)
    assert found.mean == pytest.approx(rates.mean(), abs=0.05)
    assert found.high - found.mean == pytest.approx(1.96 * rates.std(), rel=0.04)


def test_interval_of_utterances_that_all_differ() -> None:
    words = list(range(1, 80))
    found = bootstrap_interval(words, [word // 2 for word in words])
    assert found.low < 100 * sum(word // 2 for word in words) / sum(words) < found.high


def test_intervals_without_words_or_errors() -> None:
    assert bootstrap_interval([0, 0], [0, 0]) == (0.0, 0.0, 0.0)
    assert math.isinf(bootstrap_interval([0], [3]).mean)
    assert bootstrap_interval([5, 5], [0, 0]) == (0.0, 0.0, 0.0)
    assert bootstrap_interval([5, 0], [1, 0]).mean == pytest.approx(20.0)


def systems(gain: float, seed: int = 0) -> tuple[list[int], list[int], list[int]]:
    random_ = random.Random(seed)
    words = [random_.randint(5, 20) for _ in range(1500)]
    first = [sum(random_.random() < 0.15 for _ in range(word)) for word in words]
    second = [sum(random_.random() >= gain for _ in range(count)) + sum(random_.random() < 0.15 * gain for _ in range(word))
              for count, word in zip(first, words)]  # fmt: skip
    return words, first, second


def test_a_real_gain_is_found_and_none_is_not() -> None:
    words, first, second = systems(0.3)
    same = paired_bootstrap(words, first, second)
    assert same.p > 0.05 and same.difference.low < 0 < same.difference.high  # as many new errors as mended ones
    better = [max(0, count - 1) if number % 4 == 0 else count for number, count in enumerate(first)]
    found = paired_bootstrap(words, first, better)
    assert found.p == pytest.approx(2 / 10_000) and found.better == 1.0
    assert found.difference.high < 0


def test_the_order_of_the_systems_turns_the_sign() -> None:
    words, first, second = systems(0.5, seed=4)
    one, other = paired_bootstrap(words, first, second), paired_bootstrap(words, second, first)
    assert one.difference.mean == pytest.approx(-other.difference.mean)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.p == pytest.approx(other.p)


def test_pairing_sees_what_two_intervals_hide() -> None:
    words, first, _ = systems(0.3)
    better = [max(0, count - 1) if number % 20 == 0 else count for number, count in enumerate(first)]
    a, b = bootstrap_interval(words, first), bootstrap_interval(words, better)
    assert a.low < b.high  # the intervals overlap
    assert paired_bootstrap(words, first, better).p < 0.01


def test_no_reference_words() -> None:
    with pytest.raises(ValueError, match="references are empty"):
        paired_bootstrap([0], [1], [0])


def test_matched_pairs() -> None:
    assert matched_pairs([]) == 1.0
    assert matched_pairs([(1, 1)] * 50) == 1.0
    assert matched_pairs([(1, 0)] * 50) == 0.0
    half = [(1, 0)] * 50 + [(0, 1)] * 50
    assert matched_pairs(half) == pytest.approx(1.0)
    z = (20 / 100) / (np.std([1] * 60 + [-1] * 40, ddof=1) / 10)
    assert matched_pairs([(1, 0)] * 60 + [(0, 1)] * 40) == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_segments_end_after_two_words_that_both_have_right() -> None:
    def right(words: str) -> list[tuple[str | None, str | None]]:
        return [(word, word) for word in words.split()]

    first = [("a", "x"), *right("b c d"), ("e", None), *right("f")]
    second = [("a", "a"), *right("b c d e"), (None, "y"), *right("f")]
    assert split_segments(first, second) == [(1, 0), (1, 1)]
    assert split_segments(first, first) == [(1, 1), (1, 1)]
    close = [("a", "x"), *right("b"), ("c", None)]
    assert split_segments(close, right("a b c")) == [(2, 0)]
    assert split_segments([(None, "z"), *right("a")], right("a")) == [(1, 0)]
    assert split_segments(right("a b"), right("a b")) == []
