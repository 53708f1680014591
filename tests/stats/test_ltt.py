"""Learn then test, against counts and products worked out another way."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tuningfork.stats.ltt import items_needed, p_worse, passing

GAPS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=40)


def capital(gaps: tuple[float, ...], epsilon: float) -> float:
    """The largest capital on the way, by plain multiplication, a stake after the other."""
    stakes = [1.0, *(math.sin((i + 0.5) / 64 * math.pi / 2) for i in range(64))]
    shares = [0.5, *(0.5 / 64 for _ in range(64))]
    largest = 1.0
    for end in range(1, len(gaps) + 1):
        held = [math.prod(1 + s / (1 - epsilon) * (epsilon - g) for g in gaps[:end]) for s in stakes]
        largest = max(largest, sum(share * max(0.0, each) for share, each in zip(shares, held, strict=True)))
    return largest


@given(GAPS, st.sampled_from([0.01, 0.1, 0.5]))
def test_it_is_one_over_the_capital(gaps: list[float], epsilon: float) -> None:
    assert p_worse(gaps, epsilon) == pytest.approx(1 / capital(tuple(gaps), epsilon), rel=1e-9)


@pytest.mark.parametrize("wins", [0.0, 0.1, 0.25])
def test_under_the_null_it_passes_as_seldom_as_promised(wins: float) -> None:
    """Every sequence of seven items with its exact probability, at the edge of the null: losses - wins = epsilon."""
    epsilon, delta, n = 0.4, 0.1, 7
    chance = {1.0: wins + epsilon, -1.0: wins, 0.0: 1 - 2 * wins - epsilon}
    passes = sum(
        math.prod(chance[gap] for gap in gaps) for gaps in product(chance, repeat=n) if p_worse(gaps, epsilon) <= delta
    )
    assert 0.01 < passes <= delta  # it can pass


def test_the_null_is_kept_over_many_draws_of_many_items() -> None:
    rng = np.random.default_rng(0)
    draws = rng.choice([1.0, -1.0, 0.0], p=[0.06, 0.05, 0.89], size=(600, 400))
    passed = np.mean([p_worse(row.tolist(), 0.01) <= 0.1 for row in draws])
    assert passed <= 0.1


def test_without_a_loss_it_is_near_the_exact_binomial_test() -> None:
    exact = next(n for n in range(1, 1000) if binom.cdf(0, n, 0.01) <= 0.1)
    found = items_needed([], 0.01, 0.1)
    assert exact == 230 and found == next(n for n in range(1, 1000) if p_worse([0.0] * n, 0.01) <= 0.1) == 258


def test_how_many_items_would_show_it() -> None:
    some = [1.0, -1.0, *[0.0] * 198]
    needed = items_needed(some, 0.01, 0.1)
    assert needed is not None and needed > 258
    assert p_worse(some * (needed // 200 + 1), 0.01) <= 0.1 < p_worse(some, 0.01)
    assert items_needed([1.0, *[0.0] * 49], 0.01, 0.1) is None  # it loses two points


def test_the_first_that_fails_ends_it() -> None:
    seen = []

    def p_values() -> object:
        for p in (0.01, 0.1, 0.11, 0.0):
            seen.append(p)
            yield p

    assert passing(p_values(), 0.1) == 2 and seen == [0.01, 0.1, 0.11]  # type: ignore[arg-type]
    assert passing([], 0.1) == 0


def test_what_it_refuses() -> None:
    assert p_worse([], 0.01) == 1.0
    with pytest.raises(ValueError, match="gaps"):
        p_worse([1.5], 0.01)
    with pytest.raises(ValueError, match="epsilon"):
        p_worse([0.0], 0.0)
