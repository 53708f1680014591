from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from tuningfork.stats.sequential import e_better, e_mean, e_process, still_in


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (3, 8), (20, 6)])
def test_the_e_process_is_a_mixture_of_bets(wins: int, losses: int) -> None:
    """Against the integral that it is the closed form of; p = sin^2(t) makes Jeffreys' prior even in t."""

    def capital(t: float) -> float:
        p = math.sin(t) ** 2
        return p**wins * (1 - p) ** losses * 2.0 ** (wins + losses)

    assert e_process(wins, losses) == pytest.approx(quad(capital, 0, math.pi / 2)[0] / (math.pi / 2))
    upper = quad(capital, math.pi / 4, math.pi / 2)[0] / (math.pi / 4)
    assert e_better(wins, losses) == pytest.approx(upper)


@pytest.mark.parametrize("chance", [0.5, 0.35])
@pytest.mark.parametrize("wins", [0, 3, 9])
def test_the_next_item_is_never_worth_more_than_it_costs(wins: int, chance: float) -> None:
    """A supermartingale where the leader is no better, a martingale where both are equal."""
    for losses in range(12):
        later = chance * e_better(wins + 1, losses) + (1 - chance) * e_better(wins, losses + 1)
        assert later <= e_better(wins, losses) * (1 + 1e-9)
    fair = 0.5 * e_process(wins + 1, 4) + 0.5 * e_process(wins, 5)
    assert fair == pytest.approx(e_process(wins, 4))


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=60))
def test_bets_on_right_or_wrong_scores_are_the_closed_form(gaps: list[float]) -> None:
    found = float(e_mean(np.array([gaps]))[0])
    expected = math.log(e_better(gaps.count(1.0), gaps.count(-1.0)))
    assert found == pytest.approx(expected, abs=0.05)


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0, 1))
def test_a_fair_gap_is_a_fair_game(past: list[float], size: float) -> None:
    now = math.exp(e_mean(np.array([past]))[0])
    later = [math.exp(e_mean(np.array([[*past, gap]]))[0]) for gap in (size, -size)]
    assert sum(later) / 2 == pytest.approx(now)


def looked_at(scores: np.ndarray, block: int, alpha: float, bounds: tuple[float, float] = (0, 1)) -> list[bool]:
    """Who is still in after looks at every block of a table of scores (candidates, items)."""
    alive = [True] * len(scores)
    for end in range(block, scores.shape[1] + 1, block):
        alive = still_in([row[:end].tolist() for row in scores], alive, bounds, alpha)
    return alive


@pytest.mark.parametrize("kind", ["binary", "other", "unbounded"])
def test_equals_are_dropped_no_more_often_than_promised(kind: str) -> None:
    rng, dropped, races = np.random.default_rng(0), 0, 150
    for _ in range(races):
        base = rng.random(400)
        noise = rng.random((3, 400))
        if kind == "binary":
            table, bounds = (noise < 0.4 + 0.5 * (base > 0.5)).astype(float), (0.0, 1.0)
        elif kind == "other":
            table, bounds = (base + noise) / 2, (0.0, 1.0)
        else:
            table, bounds = base + rng.normal(size=(3, 400)), (-math.inf, math.inf)
        dropped += not looked_at(table, 16, 0.1, bounds)[0]
    # the one that we watch is as good as any, so it may go out in at most 10 of 100 races; 2.5 standard errors of room
    assert dropped / races <= 0.1 + 2.5 * math.sqrt(0.1 * 0.9 / races)


def test_a_much_worse_one_goes_and_soon() -> None:
    rng = np.random.default_rng(1)
    shared = rng.random(320)
    table = np.stack([shared < 0.9, shared < 0.88, rng.random(320) < 0.6]).astype(float)
    assert looked_at(table, 32, 0.05) == [True, True, False]
    table[2] = 0.9 * table[2] + 0.05
    assert looked_at(table, 32, 0.05) == [True, True, False]
    assert looked_at(100 * table, 32, 0.05, (-math.inf, math.inf)) == [True, True, False]
    assert looked_at(-table[:, :64], 64, 0.05, (-1, 0)) != [True, True, True]


rows = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n), min_size=1, max_size=5)
)


@settings(max_examples=100)
@given(rows, st.data())
def test_the_leader_and_its_equals_stay_and_nobody_comes_back(scores: list[list[float]], data: st.DataObject) -> None:
    alive = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    stays = still_in(scores, alive, (0.0, 1.0), 0.3)
    assert all(was for was, stay in zip(alive, stays, strict=True) if stay)
    means = {k: sum(scores[k]) for k in range(len(scores)) if alive[k]}
    assert all(stays[k] for k in means if means[k] == max(means.values()))


def test_nothing_is_decided_on_nothing() -> None:
    assert still_in([], [], (0, 1), 0.05) == []
    assert still_in([[], []], [True, True], (0, 1), 0.05) == [True, True]
    assert still_in([[1.0] * 50, [0.0] * 50], [True, False], (0, 1), 0.05) == [True, False]


def test_the_dropped_may_be_shorter_and_still_count_among_all() -> None:
    best, worst = [1.0] * 12, [0.0] * 12
    assert still_in([best, worst], [True, True], (0, 1), 0.05) == [True, False]
    need = 0.05 * e_better(12, 0)  # so many rivals that twelve wins are not enough
    crowd = [[] for _ in range(math.ceil(need) + 1)]
    assert still_in([best, worst, *crowd], [True, True, *[False] * len(crowd)], (0, 1), 0.05)[1]


def test_only_what_all_have_is_compared() -> None:
    """Sixty items of one do not count where the other has answered six of them."""
    assert still_in([[1.0] * 60, [0.0] * 6], [True, True], (0, 1), 0.01) == [True, True]


def test_scores_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        still_in([[2.0], [0.0]], [True, True], (0, 1), 0.05)


def test_twenty_candidates_on_a_thousand_items_take_no_time() -> None:
    table = np.random.default_rng(2).random((20, 1000))
    still_in(table.tolist(), [True] * 20, (0, 1), 0.05)
    begin = time.perf_counter()
    still_in(table.tolist(), [True] * 20, (0, 1), 0.05)
    assert time.perf_counter() - begin < 0.5
