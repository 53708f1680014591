"""Learning curves: what the forms do with curves whose law is known, and that an interval holds what comes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.stats.curves import advantage, crossover, forecast

SIZES = (20, 40, 80, 160)


def power(n: float, top: float = 0.9, drop: float = 1.6, exponent: float = 0.5) -> float:
    return top - drop * n**-exponent


@pytest.mark.parametrize("at", [200, 320, 640])
def test_a_power_law_is_foretold_closely(at: int) -> None:
    found = forecast([(n, power(n)) for n in SIZES], at)
    assert found.value == pytest.approx(power(at), abs=0.03) and found.low <= power(at) <= found.high


def test_a_flat_curve_stays_flat_and_its_interval_is_narrower_than_a_steep_ones() -> None:
    flat = forecast([(n, 0.95) for n in SIZES], 320)
    steep = forecast([(n, power(n)) for n in SIZES], 320)
    assert flat.value == pytest.approx(0.95) and flat.high - flat.low < steep.high - steep.low


def test_further_is_less_sure() -> None:
    widths = [f.high - f.low for at in (200, 320, 640, 1280) for f in [forecast([(n, power(n)) for n in SIZES], at)]]
    assert widths == sorted(widths)


def test_between_points_the_curve_is_read_off_with_the_noise_of_seeds() -> None:
    points = [(40, 0.5), (40, 0.6), (160, 0.7), (160, 0.8)]
    found = forecast(points, 80)
    assert 0.64 < found.value < 0.66
    error = math.sqrt(0.005 / 2)
    assert found.high - found.value == pytest.approx(1.96 * error, abs=1e-3)
    assert forecast([(40, 0.5)], 40, error=0.1).high == pytest.approx(0.5 + 0.196, abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=1, max_size=8), st.integers(1, 2000))
def test_whatever_the_points_the_value_lies_inside_its_interval_and_bounds(
    points: list[tuple[int, float]], at: int
) -> None:
    found = forecast(points, at)
    assert 0 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1 and found.at == at


def test_nine_of_ten_intervals_hold_the_next_doubling() -> None:
    rng, held = random.Random(0), 0
    for _ in range(300):
        top, drop, exponent = rng.uniform(0.6, 0.99), rng.uniform(0.3, 2.0), rng.uniform(0.3, 0.9)
        points = [(n, power(n, top, drop, exponent) + rng.gauss(0, 0.02)) for n in SIZES for _ in range(3)]
        found = forecast(points, 320, error=0.02)
        held += found.low <= power(320, top, drop, exponent) <= found.high
    assert held >= 270


def test_where_two_lines_cross() -> None:
    a, b = [(10, 0.4), (1000, 0.8)], [(10, 0.6), (1000, 0.7)]
    low, mid, high = crossover(a, b) or (0, 0, 0)
    # straight in log n: 0.4 + 0.2 x = 0.6 + 0.05 x at x = 4/3 decades from 10
    assert mid == pytest.approx(10 ** (1 + 4 / 3), rel=0.1) and low <= mid <= high
    wide = crossover(a, b, error=0.03) or (0, 0, 0)
    assert wide[0] < low and wide[2] > high
    assert crossover(b, a) is not None and crossover(a, [(10, 0.1), (1000, 0.2)]) is None


def test_an_advantage_is_the_horizontal_gap() -> None:
    a, b = [(0, 0.5), (100, 0.9)], [(50, 0.5), (150, 0.9)]
    assert advantage(a, b) == pytest.approx(50) and advantage(b, a) == pytest.approx(-50)
    assert advantage([(0, 0.7)], b) == pytest.approx(100), "a prompt is worth 100 examples"
    assert advantage([(0, 0.95)], b) is None, "never reached"


def test_nothing_is_foretold_from_nothing() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        forecast([], 10)
    with pytest.raises(ValueError, match="no value at 0"):
        forecast([(1, 0.5)], 0)
