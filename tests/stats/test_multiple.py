from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.stats.multiple import holm


def test_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.4]) == [0.4]


def test_those_not_listed_count_as_larger() -> None:
    assert holm([0.01, 0.002], family=6) == pytest.approx([0.05, 0.012])
    assert holm([0.01, 0.002], family=6) == pytest.approx(holm([0.01, 0.002, 0.9, 0.9, 0.9, 0.9])[:2])
    with pytest.raises(ValueError, match="family of 1"):
        holm([0.1, 0.2], family=1)


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.5))
def test_rejects_just_what_the_step_down_rule_rejects(p_values: list[float], alpha: float) -> None:
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected: set[int] = set()
    for rank, index in enumerate(order):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    found = {i for i, p in enumerate(holm(p_values)) if p <= alpha}
    assert found == rejected


@given(st.lists(st.floats(0, 1), max_size=12))
def test_never_under_the_raw_one_nor_over_bonferroni(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1, len(p_values) * raw)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p])
