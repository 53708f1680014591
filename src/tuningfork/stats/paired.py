"""Is one candidate better than another on the same items? The difference, its interval, and a p-value.

Pairing takes away what the items have in common and is worth two to five times the data. Right-or-wrong scores get
Tango's score interval (1998) and the mid-p McNemar test; other scores, and scores in clusters, a paired bootstrap over
clusters (BCa) and a sign-flip permutation test; totals that are no mean of items a bootstrap of the total. A p-value
over 0.05 is never evidence that two are equal: read the interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist
from typing import TYPE_CHECKING

from .intervals import FEW, bias_corrected, mean_ends, resampled, units_of, widened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLIPS = 9999
EXACT_UNITS = 12
"""Up to this many units all sign flips are tried."""


@dataclass(frozen=True)
class Difference:
    """Mean of a minus mean of b over the same n items, its interval, and the two-sided p-value of no difference.

    `discordance` is the mean square of the item differences: for right-or-wrong scores the share of items that exactly
    one gets right. Power is worked out from it.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    discordance: float = 0.0


def difference(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Difference:
    """a minus b, item by item. `clusters` as in `mean_interval`; `bounds` are those of one score.

    Under ten units (and unless scores are 0 or 1) the interval is Student's or all that the bounds allow, whichever is
    wider on a side: honest, and hardly of use. Raises ValueError for no items or different lengths.
    """
    import numpy as np

    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not len(left) or len(left) != len(right):
        raise ValueError(f"a paired difference needs the same items on both sides, not {len(left)} and {len(right)}")
    gaps = left - right
    n, discordance = len(gaps), float(np.mean(gaps * gaps))
    units = units_of(n, clusters)
    if len(units) == n and bool(np.isin(left, (0, 1)).all()) and bool(np.isin(right, (0, 1)).all()):
        wins, losses = int((gaps > 0).sum()), int((gaps < 0).sum())
        low, high = tango(wins, losses, n, confidence)
        return Difference((wins - losses) / n, low, high, mcnemar(wins, losses), n, discordance)
    value = float(gaps.mean())
    sums = np.array([gaps[unit].sum() for unit in units])
    sizes = np.array([len(unit) for unit in units], dtype=float)
    span = bounds[1] - bounds[0]
    ends = mean_ends(sums, sizes, value, confidence, seed, (-span, span))
    return Difference(value, *ends, sign_flip(sums, seed), n, discordance)


def bootstrap_difference(
    statistic: Callable[[NDArray[np.intp]], float],
    n: int,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
    resamples: int = 1000,
) -> Difference:
    """The difference of two totals, such as macro F1. `statistic` gets positions and gives a's total minus b's there.

    The p-value is twice the share of bootstrap differences on the other side of zero. Under ten units nothing is
    claimed: the interval is all that `bounds` (of one total) allow, and p is 1.
    """
    import numpy as np

    if n < 1:
        raise ValueError("a difference needs at least one item")
    units = units_of(n, clusters)
    value, span = float(statistic(np.arange(n))), bounds[1] - bounds[0]
    if len(units) < FEW:
        return Difference(value, -span, span, 1.0, n, span**2)
    values = resampled(statistic, units, resamples, seed)
    ends = widened(value, bias_corrected(values, value, confidence), len(units), confidence, (-span, span))
    over = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return Difference(value, *ends, min(1.0, 2 * (over + 1) / (resamples + 1)), n, float(n * values.var() + value**2))


def mcnemar(wins: int, losses: int) -> float:
    """The mid-p McNemar p-value, two-sided (Fagerland, Lydersen and Laake 2013): near the nominal rate, where the exact
    one is far under it."""
    from scipy.stats import binom

    if wins == losses:
        return 1.0
    few, both = min(wins, losses), wins + losses
    return float(min(1.0, 2 * binom.cdf(few, both, 0.5) - binom.pmf(few, both, 0.5)))


def tango(wins: int, losses: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval of (wins - losses) / n (Statistics in Medicine 17, 1998): right also where nothing, or
    everything, is discordant."""
    from scipy.optimize import brentq

    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    value = (wins - losses) / n

    def score(delta: float) -> float:
        # the most likely share of losses if the true difference were delta: the larger root of its score equation
        half = -wins - losses + (2 * n - wins + losses) * delta
        lost = (math.sqrt(max(0.0, half * half + 8 * n * losses * delta * (1 - delta))) - half) / (4 * n)
        variance = n * max(0.0, 2 * lost + delta * (1 - delta))
        gap = wins - losses - n * delta
        if not gap:
            return 0.0
        return gap / math.sqrt(variance) if variance > 1e-300 else math.copysign(math.inf, gap)

    def end(bound: float, target: float) -> float:
        def reach(delta: float) -> float:
            return max(-1e9, min(1e9, score(delta) - target))

        if abs(value - bound) < 1e-15 or reach(bound) * reach(value) > 0:
            return bound
        found: float = brentq(reach, bound, value, xtol=1e-12)
        return found

    return end(-1.0, z), end(1.0, -z)


def sign_flip(sums: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p of a symmetric difference: how often random signs on the units give a sum as far from 0 as seen.

    All signs for up to twelve units, else 9,999 random ones, the one seen counted among them.
    """
    import numpy as np

    seen = abs(float(sums.sum())) - 1e-12 * float(np.abs(sums).sum())
    moving = sums[sums != 0]
    if not len(moving):
        return 1.0
    if len(moving) <= EXACT_UNITS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(moving))))
        return float(np.mean(np.abs(signs @ moving) >= seen))
    rng, reached = np.random.default_rng(seed), 0
    for begin in range(0, FLIPS, 1000):
        signs = rng.integers(0, 2, size=(min(1000, FLIPS - begin), len(moving)), dtype=np.int8) * 2.0 - 1.0
        reached += int((np.abs(signs @ moving) >= seen).sum())
    return (reached + 1) / (FLIPS + 1)
