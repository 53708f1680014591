"""The simulations of benchmarks/verdict.py in a small form: what a verdict promises holds in a few dozen races."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def sim(script: Any) -> ModuleType:
    found: ModuleType = script("simulated")
    return found


def test_equal_candidates_are_seldom_called_apart(sim: ModuleType) -> None:
    assert sim.null(30, 512, 200)["clear"] <= 0.1


def test_a_planted_winner_is_found_with_few_items(sim: ModuleType) -> None:
    found = sim.planted(25, 2000, 0.1)
    assert found["best_in_set"] >= 0.95 and found["median_set"] == 1 and found["median_used"] <= 0.25


def test_a_small_gap_on_few_items_is_left_open(sim: ModuleType) -> None:
    found = sim.planted(25, 300, 0.05)
    assert found["best_in_set"] >= 0.95 and found["median_set"] > 1


def test_at_the_margin_the_cheaper_is_seldom_recommended(sim: ModuleType) -> None:
    assert sim.non_inferiority(60, 500, 0.05)["wrongly"] <= 0.1


def test_intervals_hold_what_they_say(sim: ModuleType) -> None:
    exact = sim.coverage_of_accuracy((50, 320), (0.02, 0.1, 0.5, 0.9))
    assert 0.94 <= exact["mean"] <= 0.965 and exact["least"] >= 0.92
    assert sim.coverage_of_macro_f1(60, (100,), (0.8,))["least"] >= 0.87
    seeds = sim.coverage_over_seeds(40, 200, 3, 0.04)
    assert seeds["crossed"] >= 0.9 > seeds["items_alone"]
    assert sim.coverage_over_folds(60, 60, 2)["corrected"] >= 0.93
