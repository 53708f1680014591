"""Prediction-powered means: by their algebra, by plain statistics, and by simulation (all settings:
benchmarks/judge.py)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuningfork.stats.ppi import corrected_mean


def drawn(
    n: int, people: int, agree: float, seed: int = 0, truth: float = 0.7
) -> tuple[list[float], list[float | None]]:
    """A judge that agrees with people on a share of right-or-wrong items, and says yes to half of the rest."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(size=n) < truth
    f = np.where(rng.uniform(size=n) < agree, y, rng.uniform(size=n) < 0.5)
    return f.astype(float).tolist(), [float(v) if i < people else None for i, v in enumerate(y)]


def test_a_perfect_judge_gives_the_mean_of_all() -> None:
    judged, people = drawn(400, 40, 1.0)
    found = corrected_mean(judged, people)
    assert found.interval.value == pytest.approx(np.mean(judged))
    assert found.weight == pytest.approx(360 / 400) and found.plain_people > 200


def test_a_useless_judge_leaves_the_plain_mean() -> None:
    judged = [0.5] * 300
    y = drawn(300, 60, 1.0)[1]
    graded = [grade for grade in y if grade is not None]
    found = corrected_mean(judged, y)
    assert (found.weight, found.interval.value) == (0.0, pytest.approx(np.mean(graded)))
    assert found.error == pytest.approx(stats.sem(graded)) and found.plain_people == pytest.approx(60)


def test_grades_of_everything_need_no_judge() -> None:
    judged, people = drawn(80, 80, 0.0)
    found = corrected_mean(judged, people)
    assert found.interval.value == pytest.approx(np.mean([grade for grade in people if grade is not None]))


def test_a_judge_that_is_one_grade_too_kind_is_corrected() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(1, 5, size=500).astype(float)
    found = corrected_mean((y + 1).tolist(), [v if i < 50 else None for i, v in enumerate(y)], bounds=(1.0, 5.0))
    assert found.interval.value == pytest.approx(y.mean(), abs=0.02)
    assert found.interval.low < y.mean() < found.interval.high


def test_it_is_the_formula_of_the_paper_where_the_weight_is_the_same_in_all_folds() -> None:
    judged, people = drawn(500, 200, 0.6, seed=3)
    found = corrected_mean(judged, people)
    y = np.array([grade for grade in people if grade is not None])
    f, rest = np.array(judged[:200]), np.array(judged[200:])
    weight = np.cov(y, f)[0, 1] / ((1 + 200 / 300) * f.var(ddof=1))
    error = math.sqrt(weight**2 * rest.var(ddof=1) / 300 + (y - weight * f).var(ddof=1) / 200)
    assert found.weight == pytest.approx(weight, abs=0.02) and found.error == pytest.approx(error, rel=0.02)
    assert found.interval.value == pytest.approx(weight * rest.mean() + (y - weight * f).mean(), abs=0.005)


@pytest.mark.parametrize("agree", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("truth", [0.5, 0.95])
def test_the_interval_holds_the_truth_as_often_as_it_says(agree: float, truth: float) -> None:
    holds = 0
    for seed in range(300):
        found = corrected_mean(*drawn(300, 30, agree, seed, truth)).interval
        holds += found.low <= truth <= found.high
    assert holds >= 300 * 0.95 - 3 * math.sqrt(300 * 0.95 * 0.05)


@given(
    st.lists(st.tuples(st.floats(1, 5), st.none() | st.floats(1, 5)), min_size=12, max_size=60),
    st.lists(st.floats(1, 5), min_size=10, max_size=10),
)
def test_it_stays_inside_its_bounds(made: list[tuple[float, float | None]], graded: list[float]) -> None:
    judged = [f for f, _ in made]
    people = [*graded, *(y for _, y in made[10:])]
    found = corrected_mean(judged, people, bounds=(1.0, 5.0)).interval
    assert 1.0 <= found.low <= found.value <= found.high <= 5.0 and found.n == len(made)


def test_too_few_grades_and_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="9 grades of people are too few"):
        corrected_mean([1.0] * 20, [1.0] * 9 + [None] * 11)
    with pytest.raises(ValueError, match="as many entries"):
        corrected_mean([1.0], [])
