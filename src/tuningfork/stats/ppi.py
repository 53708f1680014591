"""Prediction-powered inference: a mean of people's grades, told from a few of them and a judge's grades of everything.

With judge's grades f on N items that nobody graded, and n items with people's grades y beside f (PPI++, Angelopoulos,
Duchi and Zrnic 2023, arXiv 2311.01453, for a mean):

    estimate = l mean_N(f) + mean_n(y - l f)
    variance = l^2 var_N(f) / N + var_n(y - l f) / n
    l        = cov_n(y, f) / ((1 + n / N) var(f)), between 0 and 1

Whatever the judge's bias, the second mean takes it off, so the estimate is of people's grades. A judge that agrees with
them makes it narrow; for a useless one l is near 0, and what is left is the plain mean of people's grades.

Where it differs from the paper: with few grades the l that fits them best makes the spread look smaller than it is. So
l is cross-fitted: the items with grades are dealt into folds, and each fold's y - l f takes the l of the others. The
interval has Wilson's form with Student's quantile (n - 1), which holds near the ends of the grades' range where the
textbook one does not, and it is never narrower than what n grades leave unseen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .intervals import FEW, Interval, widened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FOLDS = 5


@dataclass(frozen=True)
class Corrected:
    """A mean of people's grades, with its standard `error`. `weight` is how far the judge was heeded (0 to 1), `people`
    how many items they graded, `plain_people` how many grades alone would have told as much."""

    interval: Interval
    error: float
    weight: float
    people: int
    plain_people: float


def corrected_mean(
    judged: Sequence[float],
    people: Sequence[float | None],
    confidence: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Corrected:
    """The mean of people's grades over all items: `judged[i]` is the judge's grade of item i, `people[i]` a person's or
    None. Items are taken to be drawn alike, those that people graded among them by chance.

    Raises ValueError for different lengths, or with fewer than ten grades of people.
    """
    import numpy as np

    if len(judged) != len(people):
        raise ValueError(f"{len(judged)} grades of a judge need as many entries of people, not {len(people)}")
    f = np.asarray(judged, dtype=float)
    has = np.array([grade is not None for grade in people], dtype=bool)
    y = np.array([grade for grade in people if grade is not None], dtype=float)  # (n,)
    if len(y) < FEW:
        raise ValueError(f"{len(y)} grades of people are too few: at least {FEW} are needed")
    rest, beside = f[~has], f[has]  # (N,), (n,)
    weights = _weights(y, beside, len(rest))  # (n,), the same within a fold
    weight = float(weights.mean())
    left = y - weights * beside
    value = float(left.mean()) + (weight * float(rest.mean()) if len(rest) else 0.0)
    variance = float(left.var(ddof=1)) / len(y)
    if len(rest) > 1:
        variance += weight**2 * float(rest.var(ddof=1)) / len(rest)
    value = min(max(value, bounds[0]), bounds[1])
    ends = _ends(value, variance, len(y), confidence, bounds)
    plain = float(y.var(ddof=1)) / variance if variance else float(len(y))
    return Corrected(Interval(value, *ends, len(f)), math.sqrt(variance), weight, len(y), plain)


def _weights(y: Array, f: Array, others: int) -> Array:
    """For every item with a grade of people, how far the judge is heeded, fitted on the other folds."""
    import numpy as np

    if not others:
        return np.zeros(len(y))
    fold = np.arange(len(y)) % FOLDS
    found = np.zeros(len(y))
    for number in range(FOLDS):
        own = fold == number
        found[own] = _weight(y[~own], f[~own], len(y) / others)
    return found


def _weight(y: Array, f: Array, ratio: float) -> float:
    off = f - f.mean()
    spread = float(off @ off)
    return 0.0 if spread < 1e-12 else min(1.0, max(0.0, float(off @ y) / ((1 + ratio) * spread)))


def _ends(value: float, variance: float, n: int, confidence: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Wilson's interval for as many trials as would have this variance, with Student's quantile; Student's own where a
    bound is infinite."""
    quantile, span = _quantile(confidence, n - 1), bounds[1] - bounds[0]
    half = quantile * math.sqrt(variance)
    low, high = value - half, value + half
    share = (value - bounds[0]) / span if math.isfinite(span) else 0.0
    if variance > 0 and 0 < share < 1:
        trials, q2 = share * (1 - share) * span**2 / variance, quantile**2
        middle = (share + q2 / (2 * trials)) / (1 + q2 / trials)
        half = quantile * math.sqrt(share * (1 - share) / trials + q2 / (4 * trials**2)) / (1 + q2 / trials)
        low, high = bounds[0] + span * (middle - half), bounds[0] + span * (middle + half)
    return widened(value, (low, high), n, 0.5 + confidence / 2, bounds)  # half of what may miss, for either end


@lru_cache
def _quantile(confidence: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, freedom))
