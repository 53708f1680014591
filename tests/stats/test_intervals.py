from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from tuningfork.stats.intervals import mean_interval, total_interval, wilson


@pytest.mark.parametrize(("k", "n", "confidence"), [(0, 1, 0.95), (3, 10, 0.95), (50, 50, 0.9), (17, 320, 0.99)])
def test_wilson_is_scipys(k: int, n: int, confidence: float) -> None:
    theirs = binomtest(k, n).proportion_ci(confidence, method="wilson")
    ours = wilson(k, n, confidence)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert (ours.value, ours.n) == (k / n, n)


@pytest.mark.parametrize("p", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("n", [10, 50, 320])
def test_wilson_covers_about_as_often_as_it_says(n: int, p: float) -> None:
    """Exact: the chances of all counts whose interval holds p."""
    holds = [wilson(k, n).low <= p <= wilson(k, n).high for k in range(n + 1)]
    covered = float(binom.pmf(np.arange(n + 1)[holds], n, p).sum())
    assert 0.91 <= covered <= 0.985


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


def test_right_or_wrong_scores_get_wilson_in_any_bounds() -> None:
    expected = wilson(3, 4)
    assert mean_interval([1, 0, 1, 1]) == expected
    moved = mean_interval([10.0, 0.0, 10.0, 10.0], bounds=(0, 10))
    assert (moved.value, moved.low, moved.high) == pytest.approx((7.5, 10 * expected.low, 10 * expected.high))


scores = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(scores, st.integers(1, 12))
def test_an_interval_holds_its_value_stays_in_bounds_and_is_never_of_no_width(values: list[float], names: int) -> None:
    for clusters in (None, [i % names for i in range(len(values))]):
        found = mean_interval(values, clusters)
        assert 0.0 <= found.low <= found.value <= found.high <= 1.0
        assert found.high - found.low > 0.001
        assert found.value == pytest.approx(np.mean(values))


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
def test_equal_scores_get_the_rule_of_three(constant: float) -> None:
    found = mean_interval([constant] * 100)
    if constant < 1:
        assert found.high - constant >= 0.029 * (1 - constant)
    if constant > 0:
        assert constant - found.low >= 0.029 * constant


def test_one_score_says_nearly_nothing() -> None:
    found = mean_interval([0.7])
    assert found.high - found.low > 0.7
    unbounded = mean_interval([7.0], bounds=(-math.inf, math.inf))
    assert (unbounded.low, unbounded.high) == (-math.inf, math.inf)


def test_the_bootstrap_is_about_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(0).beta(4, 2, 400)
    found = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.003)
    assert mean_interval(values) == found
    assert mean_interval(values, seed=1) != found


def test_copies_in_one_cluster_count_once() -> None:
    rng = np.random.default_rng(1)
    values = rng.beta(2, 2, 60)
    alone = mean_interval(values)
    copied = mean_interval(np.repeat(values, 5), np.repeat(np.arange(60), 5).tolist())
    fooled = mean_interval(np.repeat(values, 5))
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert fooled.high - fooled.low < 0.6 * (copied.high - copied.low)
    binary = (values > 0.4).astype(float)
    wide = mean_interval(np.repeat(binary, 5), np.repeat(np.arange(60), 5).tolist())
    assert wide.high - wide.low > 1.8 * (lambda f: f.high - f.low)(wilson(5 * binary.sum(), 300))


def test_items_without_a_cluster_stand_alone() -> None:
    values = [0.0, 1.0, 1.0, 0.0] * 5
    assert mean_interval(values, [None] * 20) == mean_interval(values)
    with pytest.raises(ValueError, match="cluster names"):
        mean_interval(values, [None])


def test_bootstrap_coverage_on_skewed_scores() -> None:
    rng, covered = np.random.default_rng(2), 0
    for seed in range(100):
        found = mean_interval(rng.beta(5, 1, 40), seed=seed)
        covered += found.low <= 5 / 6 <= found.high
    assert covered >= 88


def test_many_units_take_the_quick_road_to_the_same_place() -> None:
    values = np.random.default_rng(3).beta(2, 3, 4001)
    few, many = mean_interval(values[:2000]), mean_interval(values)
    assert (many.high - many.low) * math.sqrt(4001) == pytest.approx((few.high - few.low) * math.sqrt(2000), rel=0.08)


def test_total_interval_of_a_mean_is_about_the_mean_interval() -> None:
    values = np.random.default_rng(4).beta(3, 2, 200)
    total = total_interval(lambda at: float(values[at].mean()), 200, resamples=2000)
    mean = mean_interval(values)
    assert (total.low, total.high) == pytest.approx((mean.low, mean.high), abs=0.006)
    few = total_interval(lambda at: float(values[at].mean()), 9, bounds=(0, 1))
    assert (few.low, few.high) == (0, 1)


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
