from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, wilcoxon

from tuningfork.stats.intervals import mean_interval
from tuningfork.stats.paired import bootstrap_difference, difference, mcnemar, sign_flip, tango


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (1, 0), (2, 9), (9, 2), (14, 30)])
def test_mid_p_mcnemar_by_hand(wins: int, losses: int) -> None:
    few, both = min(wins, losses), wins + losses
    under = sum(comb(both, k) for k in range(few)) / 2**both
    assert mcnemar(wins, losses) == pytest.approx(2 * (under + comb(both, few) / 2**both / 2))


def test_mcnemar_without_a_gap_is_one() -> None:
    assert mcnemar(0, 0) == mcnemar(7, 7) == 1.0


def test_tango_without_discordant_items_by_hand() -> None:
    z2 = 1.959964**2
    assert tango(0, 0, 100) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)), abs=1e-6)


def test_tango_agrees_with_its_published_example() -> None:
    """Tango 1998, table I: 44 pairs, 0 against 1 discordant; the crossover lens data of Miyanaga."""
    low, high = tango(1, 0, 44)
    assert (low, high) == pytest.approx((-0.0600, 0.1184), abs=0.0035)


def tango_by_search(wins: int, losses: int, n: int) -> tuple[float, float]:
    """The same interval the slow way: the null's most likely loss share by grid, all deltas by grid."""
    inside = []
    for delta in np.linspace(-0.999, 0.999, 1999):
        q = np.linspace(max(0, -delta), (1 - delta) / 2, 4001)[1:-1]
        likelihood = wins * np.log(q + delta) + losses * np.log(q) + (n - wins - losses) * np.log(1 - 2 * q - delta)
        lost = q[np.argmax(likelihood)]
        if abs(wins - losses - n * delta) <= 1.959964 * np.sqrt(n * (2 * lost + delta * (1 - delta))):
            inside.append(float(delta))
    return min(inside), max(inside)


@pytest.mark.parametrize(("wins", "losses", "n"), [(12, 10, 60), (3, 1, 8), (30, 5, 100), (2, 9, 20)])
def test_tango_is_what_a_search_finds(wins: int, losses: int, n: int) -> None:
    assert tango(wins, losses, n) == pytest.approx(tango_by_search(wins, losses, n), abs=0.003)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 50))
def test_tango_holds_its_value_and_mirrors(wins: int, losses: int, ties: int) -> None:
    n = wins + losses + ties
    if not n:
        return
    low, high = tango(wins, losses, n)
    assert -1 <= low <= (wins - losses) / n <= high <= 1 and high - low > 0.01
    assert tango(losses, wins, n) == pytest.approx((-high, -low), abs=1e-9)


def test_tango_covers() -> None:
    rng, covered = np.random.default_rng(0), 0
    for wins, losses, _ in rng.multinomial(60, [0.12, 0.05, 0.83], size=300):
        low, high = tango(int(wins), int(losses), 60)
        covered += low <= 0.07 <= high
    assert covered >= 0.92 * 300


def test_right_or_wrong_scores() -> None:
    a, b = [1] * 8 + [0] * 4, [1] * 5 + [0] * 7
    found = difference(a, b)
    assert (found.value, found.n, found.discordance) == (0.25, 12, 0.25)
    assert (found.low, found.high, found.p) == (*tango(3, 0, 12), mcnemar(3, 0))


def test_other_scores_are_about_the_t_interval_of_the_gaps() -> None:
    rng = np.random.default_rng(1)
    a = rng.uniform(0.3, 1, 200)
    b = np.clip(a - rng.normal(0.02, 0.1, 200), 0, 1)
    found, gaps = difference(a, b), a - b
    half = 1.96 * gaps.std(ddof=1) / np.sqrt(200)
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), abs=0.003)
    assert found.discordance == pytest.approx(np.mean(gaps**2))
    assert difference(a, b) == found


def test_a_spread_that_is_seen_is_not_widened_and_rare_gaps_are() -> None:
    small = np.random.default_rng(7).uniform(-0.001, 0.001, 100)
    assert difference(small + 0.5, [0.5] * 100).high < 0.001
    rare = np.array([0.0] * 98 + [0.001, -0.001])
    assert difference(rare + 0.5, [0.5] * 100).high > 0.025


def test_pairing_is_worth_having() -> None:
    rng = np.random.default_rng(2)
    a = rng.uniform(0, 1, 100)
    found = difference(a, np.clip(a - 0.03 + rng.normal(0, 0.02, 100), 0, 1))
    alone = mean_interval(a)
    assert found.low > 0 and found.high - found.low < 0.5 * (alone.high - alone.low)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30), st.booleans())
def test_a_difference_holds_its_value_and_turns_round(pairs: list[tuple[float, float]], clustered: bool) -> None:
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    clusters = [i // 2 for i in range(len(pairs))] if clustered else None
    there, back = difference(a, b, clusters), difference(b, a, clusters)
    assert -1 <= there.low <= there.value <= there.high <= 1 and there.high > there.low
    assert 0 <= there.p <= 1
    assert (back.value, back.p) == pytest.approx((-there.value, there.p))


def test_few_items_and_equal_scores_are_no_proof() -> None:
    few = difference([0.9, 0.91, 0.92], [0.5, 0.51, 0.52])
    assert few.low < 0 and few.p > 0.05
    same = difference([0.5] * 40, [0.5] * 40)
    assert same.low < -0.05 and same.high > 0.05 and same.p == 1.0


def test_clusters_widen() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, 50).astype(float), rng.integers(0, 2, 50).astype(float)
    many = [np.repeat(x, 6) for x in (a, b)]
    plain, clustered = difference(*many), difference(*many, np.repeat(np.arange(50), 6).tolist())
    assert clustered.high - clustered.low > 1.9 * (plain.high - plain.low)
    assert clustered.p > plain.p


def test_sign_flip_is_scipys_permutation_and_exact_when_small() -> None:
    rng = np.random.default_rng(4)
    gaps = rng.normal(0.3, 1, 10)
    assert sign_flip(gaps) == pytest.approx(
        permutation_test(
            (gaps, np.zeros(10)),
            lambda x, y: np.mean(x - y),
            permutation_type="samples",
            n_resamples=np.inf,
        ).pvalue,
        abs=1e-9,
    )
    many = rng.normal(0.15, 1, 150)
    assert sign_flip(many) == pytest.approx(wilcoxon(many).pvalue, abs=0.1)
    assert sign_flip(many) == pytest.approx(sign_flip(many, seed=1), abs=0.02)


def test_sign_flip_is_level_under_no_difference() -> None:
    rng = np.random.default_rng(5)
    found = [sign_flip(rng.uniform(-1, 1, 11)) for _ in range(300)]
    assert np.mean(np.array(found) < 0.05) <= 0.08


def test_a_bootstrapped_total_is_about_the_mean_difference() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.uniform(0, 1, 150), rng.uniform(0, 0.9, 150)
    total = bootstrap_difference(lambda at: float(a[at].mean() - b[at].mean()), 150)
    mean = difference(a, b)
    assert (total.value, total.low, total.high) == pytest.approx((mean.value, mean.low, mean.high), abs=0.012)
    assert total.p == pytest.approx(mean.p, abs=0.05)
    assert bootstrap_difference(lambda at: 0.3, 9).p == 1.0


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 0])])
def test_different_items_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="same items"):
        difference(a, b)
