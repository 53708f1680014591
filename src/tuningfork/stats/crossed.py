"""Intervals that know of more luck than that of the items: of seeds, and of folds that share their examples.

**Seeds.** A road that was taken under S seeds has a mean over seeds and items, crossed. Its variance is that of the
seed-averaged item scores (their own interval tells it, and keeps its shape) plus the variance of the seeds' means over
S; Student's quantile with Welch and Satterthwaite's degrees of freedom pays for S being small. Drawing seeds with
replacement, as a crossed bootstrap does, is too narrow for three of them: it sees (S - 1) / S of their variance.

**Folds.** Where every item was answered by candidates that learned from the other folds, these candidates share most of
what they learned from, so the scores hang together. Nadeau and Bengio (2003) correct the variance of a mean over R
repeats of K folds from S^2 / (K R) to S^2 (1 / (K R) + 1 / (K - 1)), which is 1 / R + K / (K - 1) times that of n
independent items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, variance


@dataclass(frozen=True)
class Ends:
    """A value with its interval and, of a difference, the two-sided p-value of none."""

    low: float
    high: float
    p: float


def over_seeds(
    value: float,
    ends: Ends,
    units: int,
    sides: Sequence[Sequence[float]],
    bounds: tuple[float, float],
    confidence: float = 0.95,
) -> Ends:
    """The items' `ends`, made wide enough for seeds. `sides`: for each road, its mean under every seed; a road with one
    seed adds nothing, because nothing is known of its others."""
    many = [list(side) for side in sides if len(side) > 1]
    parts = [variance(side) / len(side) for side in many]
    if not sum(parts) or units < 2 or not all(map(math.isfinite, (ends.low, ends.high))):
        return ends
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    down, up = (_joined(abs(value - end) / z, parts, many, units, confidence) for end in (ends.low, ends.high))
    near = abs(value - (ends.low if value > 0 else ends.high)) / z
    p = _p(value, near, parts, many, units)
    return Ends(max(bounds[0], value - down), min(bounds[1], value + up), max(ends.p, p))


def over_folds(
    value: float, ends: Ends, folds: int, repeats: int, bounds: tuple[float, float], confidence: float = 0.95
) -> Ends:
    """The items' `ends`, made wide enough for folds that share what they learned from."""
    wider = math.sqrt(1 / repeats + folds / (folds - 1))
    low, high = value - wider * (value - ends.low), value + wider * (ends.high - value)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    near = (value - low if value > 0 else high - value) / z
    p = 2 * NormalDist().cdf(-abs(value) / near) if near else 1.0
    return Ends(max(bounds[0], low), min(bounds[1], high), max(ends.p, p))


def _joined(
    item_error: float, parts: Sequence[float], sides: Sequence[Sequence[float]], units: int, confidence: float
) -> float:
    """Half the width for items and seeds together. The items' own interval already holds Student's quantile of many."""
    from scipy.stats import t

    quantile = t.ppf(0.5 + confidence / 2, _freedom(item_error, parts, sides, units))
    return float(quantile) * math.hypot(item_error, math.sqrt(sum(parts)))


def _p(value: float, item_error: float, parts: Sequence[float], sides: Sequence[Sequence[float]], units: int) -> float:
    from scipy.stats import t

    error = math.hypot(item_error, math.sqrt(sum(parts)))
    return float(2 * t.sf(abs(value) / error, _freedom(item_error, parts, sides, units)))


def _freedom(item_error: float, parts: Sequence[float], sides: Sequence[Sequence[float]], units: int) -> float:
    """Welch and Satterthwaite's degrees of freedom of the sum of all parts."""
    squares = [item_error**4 / (units - 1), *(part**2 / (len(s) - 1) for part, s in zip(parts, sides, strict=True))]
    return float((item_error**2 + sum(parts)) ** 2 / sum(squares))
