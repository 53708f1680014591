from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.stats.paired import mcnemar
from tuningfork.stats.power import items_needed, minimum_detectable_difference


@pytest.mark.parametrize(("n", "d", "points"), [(100, 0.05, 6.3), (100, 0.2, 12.5), (500, 0.1, 4.0), (2000, 0.2, 2.8)])
def test_the_rule_of_2_80(n: int, d: float, points: float) -> None:
    assert 100 * minimum_detectable_difference(n, d) == pytest.approx(points, abs=0.05)


@given(st.floats(0.001, 0.5), st.floats(0.0, 1.0), st.floats(0.001, 0.2), st.floats(0.5, 0.99))
def test_items_needed_is_the_inverse(gap: float, discordance: float, alpha: float, power: float) -> None:
    n = items_needed(gap, discordance, alpha, power)
    d = max(discordance, gap * min(1, gap))
    assert minimum_detectable_difference(n, d, alpha, power) <= gap * (1 + 1e-6)
    if n > 1:
        assert minimum_detectable_difference(n - 1, d, alpha, power) >= gap * (1 - 1e-6)


def test_more_is_asked_for_more() -> None:
    assert items_needed(0.02, 0.1) == items_needed(-0.02, 0.1) == pytest.approx(1960, abs=5)
    assert items_needed(0.02, 0.1, power=0.9) > items_needed(0.02, 0.1)
    assert items_needed(0.02, 0.1, alpha=0.01) > items_needed(0.02, 0.1)


def test_no_discordance_seen_is_not_none_there_is() -> None:
    assert minimum_detectable_difference(100, 0) == pytest.approx(2.8 * np.sqrt(0.0295 / 100), rel=0.01)


def test_the_difference_that_is_detectable_is_detected_four_times_in_five() -> None:
    rng, n, d = np.random.default_rng(0), 400, 0.1
    gap = minimum_detectable_difference(n, d)
    draws = rng.multinomial(n, [(d + gap) / 2, (d - gap) / 2, 1 - d], size=400)
    seen = np.mean([mcnemar(int(w), int(lost)) < 0.05 for w, lost, _ in draws])
    assert seen == pytest.approx(0.8, abs=0.08)


def test_what_can_not_be_asked() -> None:
    with pytest.raises(ValueError, match="difference of 0"):
        items_needed(0, 0.1)
    with pytest.raises(ValueError, match="at least one item"):
        minimum_detectable_difference(0, 0.1)
    with pytest.raises(ValueError, match="discordance"):
        minimum_detectable_difference(10, -0.1)
