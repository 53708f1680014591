"""The judge benchmark's worlds, and a few of them in short."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest


def test_there_are_two_hundred_settings(script: Callable[[str], ModuleType]) -> None:
    found = list(script("judge").settings())
    assert len(found) == len(set(found)) == 200


@pytest.mark.parametrize("number", range(0, 200, 23))
def test_a_world_has_the_mean_that_it_says_and_its_interval_holds_it(
    script: Callable[[str], ModuleType], number: int
) -> None:
    judge = script("judge")
    setting, rng = list(judge.settings())[number], np.random.default_rng(0)
    drawn = [setting.draw(rng) for _ in range(40)]
    assert np.mean([graded.mean() for graded, _ in drawn]) == pytest.approx(setting.truth, abs=0.05)
    low, high = setting.bounds
    assert all(low <= judged.min() and judged.max() <= high for _, judged in drawn)
    held, worth = judge.coverage(setting, draws=100)
    assert held >= 0.88 and worth > 0.7  # 0.95 less three standard errors of 100 draws
