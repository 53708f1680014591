"""How small a difference a paired test can see, and how many items it takes to see one.

Two candidates answer the same n items. With `discordance` d, the mean square of their item differences (for
right-or-wrong scores: the share of items that exactly one gets right), the standard error of their mean difference is
at most sqrt(d / n), so a two-sided test at `alpha` sees a true difference of (z(1 - alpha/2) + z(power)) * sqrt(d / n)
with probability `power`: 2.80 * sqrt(d / n) at the usual 5% and 80%. Nothing here is exact for a handful of items.
"""

from __future__ import annotations

import math


def minimum_detectable_difference(n: int, discordance: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference of means that is seen with probability `power`.

    Where no item was discordant, the largest discordance that n such items do not rule out at `alpha` stands in (about
    3 / n): that nothing was seen does not mean that everything can be. Raises ValueError for n < 1 or a negative
    discordance.
    """
    if n < 1:
        raise ValueError(f"a difference needs at least one item, not {n!r}")
    if discordance < 0:
        raise ValueError(f"discordance is a mean square and can't be {discordance!r}")
    return _reach(alpha, power) * math.sqrt((discordance or 1 - alpha ** (1 / n)) / n)


def items_needed(difference: float, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many items it takes to see this true difference with probability `power`: the inverse of the above.

    A difference can't be larger than its discordance when scores are 0 or 1, so a discordance under it is raised to it.
    Raises ValueError for a difference of 0: no number of items shows that.
    """
    if not difference:
        raise ValueError("no number of items shows a difference of 0")
    gap = abs(difference)
    return max(1, math.ceil(_reach(alpha, power) ** 2 * max(discordance, gap * min(1.0, gap)) / gap**2 - 1e-9))


def _reach(alpha: float, power: float) -> float:
    """Standard errors between no difference and one that is seen: 2.80 at 5% and 80%."""
    from statistics import NormalDist

    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
