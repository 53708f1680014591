"""How far may a cheaper rule go and still be shown not worse? Learn then test (Angelopoulos et al. 2021, arXiv
2110.01052).

Each setting of the rule has a null hypothesis, "it is worse by more than epsilon", and a p-value on paired losses.
Settings are tested from the safest to the boldest at the full level delta, and the first that does not pass ends it:
so any setting is wrongly let pass with probability at most delta, however many there are (fixed-sequence testing).

The p-value is one over the capital of someone who bets, item by item, that the mean gap is under epsilon (Waudby-Smith
and Ramdas 2024). Under the null no stake gains on average, so the capital ever reaches 1 / delta with probability at
most delta (Ville's inequality), at any number of items and for any scores of known range. Half of the capital is staked
whole, which is the exact binomial test as long as nothing is lost; the other half is spread over smaller stakes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAKES = 64
MOST_ITEMS = 10_000_000


def p_worse(gaps: Sequence[float], epsilon: float) -> float:
    """The p-value of "the mean gap is `epsilon` or more". A gap is what the rule loses on an item to what it is
    compared with, as a share of the score's range: -1 to 1. Raises ValueError for others, and for an epsilon outside
    0 to 1."""
    import numpy as np
    from scipy.special import logsumexp

    if any(not -1 <= gap <= 1 for gap in gaps):
        raise ValueError("gaps lie between -1 and 1")
    if not len(gaps):
        return 1.0
    shares, growth = _bets(np.asarray(gaps, dtype=float), epsilon)
    capital = logsumexp(shares[:, None] + np.cumsum(growth, axis=1), axis=0)  # nats, after every item
    return math.exp(-max(0.0, float(capital.max())))


def passing(p_values: Iterable[float], delta: float) -> int:
    """How many settings pass, from the first on; p-values after the first that fails are not looked at."""
    count = 0
    for p in p_values:
        if p > delta:
            break
        count += 1
    return count


def items_needed(gaps: Sequence[float], epsilon: float, delta: float) -> int | None:
    """About how many items would show it, were all like these (without any: were none ever lost). None where no number
    would."""
    import numpy as np
    from scipy.special import logsumexp

    seen = np.asarray(gaps if len(gaps) else [0.0], dtype=float)
    shares, growth = _bets(seen, epsilon)
    an_item = growth.mean(axis=1)

    def shown(items: int) -> bool:
        return float(logsumexp(shares + items * an_item)) >= -math.log(delta)

    high = 1
    while not shown(high):
        high *= 2
        if high > MOST_ITEMS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def _bets(gaps: NDArray[np.float64], epsilon: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each stake's share of the capital (stakes,), and what it gains on each item (stakes, items): both logs."""
    import numpy as np

    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon lies between 0 and 1, not at {epsilon!r}")
    spread = np.sin((np.arange(STAKES) + 0.5) / STAKES * (math.pi / 2))
    stakes = np.concatenate([[1.0], spread]) / (1 - epsilon)
    shares = np.log(np.concatenate([[0.5], np.full(STAKES, 0.5 / STAKES)]))
    with np.errstate(divide="ignore"):  # the whole stake, lost
        return shares, np.log(np.maximum(0.0, 1 + stakes[:, None] * (epsilon - gaps)))
