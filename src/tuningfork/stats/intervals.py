"""How far a mean over items may be from the truth: an interval with every value.

Right-or-wrong scores get Wilson's interval (1927), which holds for few items and near 0 and 1, where the textbook one
fails. Other scores, and scores in clusters, get a bootstrap over clusters (BCa, Efron 1987). Totals such as macro F1
get Wilson's interval too, with as many items as would give a share the standard error that the bootstrap finds;
a percentile interval of them is too narrow where few items are wrong.

Whatever the scores, an interval is never narrower than what the items that were *not* seen allow: n equal scores say
only that less than about 3 / n of all items are different (the rule of three), so a constant column has no interval of
width zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 10
"""Under this many independent units no bootstrap is trusted."""
MANY = 2000
"""From this many units on, the normal interval is as good as the bootstrap and much quicker."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A value, the interval it may lie in, and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share. `successes` may be a fraction: the sum of scores between 0 and 1, for which
    it is never too narrow, because no such scores vary more than right-or-wrong ones of the same mean.

    Raises ValueError for n < 1 or successes outside 0..n.
    """
    if n < 1 or not -1e-9 <= successes <= n + 1e-9:
        raise ValueError(f"{successes!r} successes of {n!r} have no share")
    p = min(1.0, max(0.0, successes / n))
    low, high = _wilson_ends(p, n, NormalDist().inv_cdf(0.5 + confidence / 2))
    return Interval(p, 0.0 if p == 0 else min(low, p), 1.0 if p == 1 else max(high, p), n)


def mean_interval(
    scores: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """The mean of item scores and its interval, inside `bounds` (either end may be infinite).

    `clusters` names items that belong together (None: an item of its own); they are drawn together, so that ten copies
    of one item count as one. Under ten units the interval is the widest that any scores of this mean in these bounds
    would have. Raises ValueError without scores.
    """
    import numpy as np

    values = np.asarray(scores, dtype=float)
    if not len(values):
        raise ValueError("a mean needs at least one score")
    low, high = bounds
    units = units_of(len(values), clusters)
    value = float(values.mean())
    if len(units) == len(values) and math.isfinite(high - low) and bool(np.isin(values, (low, high)).all()):
        return _moved_wilson(value, len(values), len(values), confidence, bounds)
    sums = np.array([values[unit].sum() for unit in units])
    sizes = np.array([len(unit) for unit in units], dtype=float)
    if len(units) < FEW and math.isfinite(high - low):
        return _moved_wilson(value, len(units), len(values), confidence, bounds)
    return Interval(value, *mean_ends(sums, sizes, value, confidence, seed, bounds), len(values))


def total_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
    resamples: int = 400,
) -> Interval:
    """The interval of a value that is no mean of items, such as macro F1: a bootstrap over clusters gives the standard
    error, Wilson's interval its shape; without finite bounds a bias-corrected bootstrap gives both.

    `statistic` gets the positions drawn, of shape (about n,). Under ten units the answer is `bounds`.
    """
    import numpy as np

    units = units_of(n, clusters)
    value = float(statistic(np.arange(n)))
    if len(units) < FEW:
        return Interval(value, *bounds, n)
    drawn = resampled(statistic, units, resamples, seed)
    if all(map(math.isfinite, bounds)):
        ends = _effective_wilson(value, drawn, len(units), confidence, bounds)
    else:
        ends = bias_corrected(drawn, value, confidence)
    return Interval(value, *widened(value, ends, len(units), confidence, bounds), n)


def units_of(n: int, clusters: Sequence[Hashable] | None) -> list[NDArray[np.intp]]:
    """Positions of the items of each independent unit, in order of first sight. Raises ValueError when lengths
    differ."""
    import numpy as np

    if clusters is None:
        return list(np.arange(n)[:, None])
    if len(clusters) != n:
        raise ValueError(f"{n} items need {n} cluster names, not {len(clusters)}")
    found: dict[Any, list[int]] = {}
    for position, cluster in enumerate(clusters):
        found.setdefault(("alone", position) if cluster is None else ("with", cluster), []).append(position)
    return [np.array(positions) for positions in found.values()]


def resampled(
    statistic: Callable[[NDArray[np.intp]], float], units: Sequence[NDArray[np.intp]], resamples: int, seed: int
) -> NDArray[np.float64]:
    """The statistic on `resamples` draws of units with replacement."""
    import numpy as np

    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(units), size=(resamples, len(units)))
    if all(len(unit) == 1 for unit in units):
        alone = np.concatenate(units)
        return np.array([statistic(alone[draw]) for draw in draws], dtype=float)
    return np.array([statistic(np.concatenate([units[i] for i in draw])) for draw in draws], dtype=float)


def bias_corrected(values: NDArray[np.float64], observed: float, confidence: float) -> tuple[float, float]:
    """Ends of Efron's bias-corrected percentile interval from bootstrap values."""
    import numpy as np

    normal = NormalDist()
    under = float(np.mean(values < observed) + np.mean(values == observed) / 2)
    edge = 0.5 / len(values)
    shift = 2 * normal.inv_cdf(min(1 - edge, max(edge, under)))
    tail = normal.inv_cdf(0.5 - confidence / 2)
    low, high = np.quantile(values, [normal.cdf(shift + tail), normal.cdf(shift - tail)])
    return float(low), float(high)


def widened(
    value: float, ends: tuple[float, float], units: int, confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Ends no narrower than the unseen allows, inside bounds.

    With `units` seen, up to q = 1 - (1 - confidence)^(1/units) of all may be of a kind that was never seen; were they
    all at one bound, the mean would be off by q of the way to it. An unbounded side is left as it is, unless nothing
    varied: then nothing is known of it.
    """
    unseen = 1 - (1 - confidence) ** (1 / units)
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        low, high = (value if math.isfinite(bound) else bound for bound in bounds)
    if math.isfinite(bounds[0]):
        low = max(bounds[0], min(low, value - unseen * (value - bounds[0])))
    if math.isfinite(bounds[1]):
        high = min(bounds[1], max(high, value + unseen * (bounds[1] - value)))
    return float(low), float(high)


def _moved_wilson(value: float, units: int, n: int, confidence: float, bounds: tuple[float, float]) -> Interval:
    """Wilson's interval for scores in any finite bounds, with as many trials as there are units."""
    low, span = bounds[0], bounds[1] - bounds[0]
    if not span:
        return Interval(value, value, value, n)
    share = wilson((value - low) / span * units, units, confidence)
    return Interval(value, low + share.low * span, low + share.high * span, n)


def _effective_wilson(
    value: float, drawn: NDArray[np.float64], units: int, confidence: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Wilson's ends for a value whose bootstrap has the standard error of a share of so many items, moved by the
    bootstrap's bias. Without an error, the value itself."""
    from scipy.stats import t

    low, span = bounds[0], bounds[1] - bounds[0]
    error = float(drawn.std(ddof=1))
    share = (2 * value - float(drawn.mean()) - low) / span if span else 0.0
    if not error or not 0 < share < 1:
        return value, value
    items = share * (1 - share) / (error / span) ** 2
    ends = _wilson_ends(share, items, float(t.ppf(0.5 + confidence / 2, units - 1)))
    return min(value, low + span * ends[0]), max(value, low + span * ends[1])


def _wilson_ends(share: float, items: float, z: float) -> tuple[float, float]:
    z2 = z * z
    middle = (share + z2 / (2 * items)) / (1 + z2 / items)
    half = math.sqrt(z2 * (share * (1 - share) / items + z2 / (4 * items * items))) / (1 + z2 / items)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_ends(
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    value: float,
    confidence: float,
    seed: int,
    bounds: tuple[float, float],
) -> tuple[float, float]:
    """Interval of sum(sums) / sum(sizes), which is `value`, over units.

    Student's t for few or very many, else the BCa bootstrap; widened where at least half of the units are the same, so
    that the others, seen or not, are too rare for a spread to tell of them.
    """
    import numpy as np

    ends = _spread_ends(sums, sizes, confidence, seed)
    if not all(map(math.isfinite, ends)):
        ends = _student(value, sums - value * sizes, float(sizes.sum()), confidence)
    _, counts = np.unique(sums / sizes, return_counts=True)
    if 2 * counts.max() >= len(sums) or not all(map(math.isfinite, ends)):
        return widened(value, ends, len(sums), confidence, bounds)
    return max(bounds[0], min(ends[0], value)), min(bounds[1], max(ends[1], value))


def _spread_ends(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float, seed: int
) -> tuple[float, float]:
    import numpy as np

    mean = float(sums.sum() / sizes.sum())
    spread = sums - mean * sizes
    if np.allclose(spread, 0.0, atol=1e-12):
        return mean, mean
    if not FEW <= len(sums) <= MANY:
        return _student(mean, spread, float(sizes.sum()), confidence)
    from scipy.stats import bootstrap

    found = bootstrap(
        (sums, sizes),
        lambda s, k, axis: s.sum(axis=axis) / k.sum(axis=axis),
        n_resamples=RESAMPLES,
        batch=500,
        vectorized=True,
        paired=True,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _student(mean: float, spread: NDArray[np.float64], items: float, confidence: float) -> tuple[float, float]:
    """Student's interval with the clustered standard error (Miller 2024, section 2.2). One unit says nothing."""
    import numpy as np
    from scipy.stats import t

    units = len(spread)
    if units < 2:
        return -math.inf, math.inf
    error = math.sqrt(units / (units - 1) * float(np.square(spread).sum())) / items
    half = float(t.ppf(0.5 + confidence / 2, units - 1)) * error
    return mean - half, mean + half
