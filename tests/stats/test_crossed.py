"""Seeds and folds in an interval, against formulas worked out another way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tuningfork.stats.crossed import Ends, over_folds, over_seeds

ENDS = Ends(-0.01, 0.05, 0.2)


def test_without_further_seeds_nothing_changes() -> None:
    assert over_seeds(0.02, ENDS, 300, [[0.7], [0.68]], (-1, 1)) == ENDS


def test_seeds_alone_are_welchs_test() -> None:
    """Where the items say all but everything, what is left is the t-test of two groups of seeds."""
    a, b = [0.81, 0.84, 0.79], [0.70, 0.76, 0.72]
    value = float(np.mean(a) - np.mean(b))
    found = over_seeds(value, Ends(value - 1e-9, value + 1e-9, 0.0), 10**6, [a, b], (-1, 1))
    welch = stats.ttest_ind(a, b, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    assert found.p == pytest.approx(welch.pvalue, rel=1e-6)


def test_many_seeds_that_agree_leave_the_items_interval() -> None:
    found = over_seeds(0.02, ENDS, 10**6, [[0.7, 0.7 + 1e-9] * 50, [0.68] * 100], (-1, 1))
    assert (found.low, found.high) == pytest.approx((ENDS.low, ENDS.high), abs=1e-4)


def test_folds_widen_as_nadeau_and_bengio_say() -> None:
    """Ten items a fold, five folds, one repeat: S^2 (1/5 + 1/4) with S^2 = s^2 / 10 is 2.25 s^2 / 50."""
    once = over_folds(0.02, ENDS, 5, 1, (-1, 1))
    assert once.high - 0.02 == pytest.approx(1.5 * (ENDS.high - 0.02)) and once.p >= ENDS.p
    thrice = over_folds(0.02, ENDS, 5, 3, (-1, 1))
    assert once.high > thrice.high > ENDS.high


def test_ends_stay_inside_the_bounds() -> None:
    assert over_folds(0.99, Ends(0.9, 1.0, 1.0), 5, 1, (0, 1)).high == 1.0
