"""Evidence that may be looked at after every item: who is worse for certain, however often one asks.

An ordinary test, asked again and again as results come in, finds a false winner in 41 to 50 runs of 100. What is used
here is an *e-process*: the capital of someone who bets, item by item and at fair odds, that the leader is better. If it
is not, the capital is above 1 / alpha at *any* time with probability at most alpha (Ville's inequality), so stopping
early, looking often and going on later are all allowed.

Bets are a share of the capital between 0 and 1, and which share is best is not known beforehand, so a little is staked
on each (Jeffreys' prior on the chance to win). On right-or-wrong scores this is a closed form of the wins and losses;
on other scores in a known range the same bets are placed on the difference of the two. Scores without a known range get
an asymptotic confidence sequence (Waudby-Smith and others 2021), which is only nearly right and starts at 30 items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BETS = 64
START = 30
"""Items before an asymptotic confidence sequence is looked at."""
PLANNED = 300
"""Items at which that sequence is tightest."""


def e_process(wins: int, losses: int) -> float:
    """Evidence against "as many wins as losses", in either direction: B(1/2 + w, 1/2 + l) / B(1/2, 1/2) * 2^(w + l).

    Under that null its mean is 1 at any time. Read with "and there are more wins", it is also evidence, at the same
    alpha, against "no more wins than losses"; `e_better` is up to twice as strong for that question.
    """
    return math.exp(min(700.0, float(_log_e(wins, losses))))


def e_better(wins: int, losses: int) -> float:
    """Evidence against "no more wins than losses": the prior of `e_process` on the side of more wins alone.

    It is 2 * P(Beta(1/2 + w, 1/2 + l) > 1/2) times `e_process`, and a supermartingale under every chance to win up to
    1/2.
    """
    return math.exp(min(700.0, float(_log_better(wins, losses))))


def e_mean(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural log of the evidence that each row has a mean above 0. `gaps`: (rows, items), every entry in -1..1.

    The mean, over stakes s, of the product over items of (1 + s * gap): a fair game when the mean is 0, a losing one
    below, for any stakes. Stakes are sines of even angles, which is what Jeffreys' prior becomes.
    """
    import numpy as np
    from scipy.special import logsumexp

    stakes = np.sin((np.arange(BETS) + 0.5) / BETS * (math.pi / 2))
    capital = np.stack([np.log1p(stake * gaps).sum(axis=1) for stake in stakes])
    found: NDArray[np.float64] = logsumexp(capital, axis=0) - math.log(BETS)
    return found


def still_in(
    scores: Sequence[Sequence[float]], alive: Sequence[bool], range: tuple[float, float], alpha: float
) -> list[bool]:
    """Who stays. `scores[k]` are candidate k's item scores, higher is better, paired by position, inside `range`; those
    that are not alive may be shorter, or empty.

    The leader has the best mean among the alive (the first of equals), on the items that all of them have. An alive one
    goes out when the evidence that the leader is better than it reaches (K - 1) / alpha, K being all candidates given,
    alive or not. So the one that is best in truth is ever sent out with probability at most alpha, over all looks and
    all leaders; of many exact equals, some one may go a little more often. The leader stays always, and so does one
    that ties with it. Raises ValueError for scores outside `range`.
    """
    import numpy as np

    inside = [k for k, living in enumerate(alive) if living]
    items = min((len(scores[k]) for k in inside), default=0)
    if len(inside) < 2 or not items:
        return list(alive)
    table = np.array([scores[k][:items] for k in inside], dtype=float)
    low, high = range
    if table.min() < low - 1e-9 or table.max() > high + 1e-9:
        raise ValueError(f"scores between {table.min()} and {table.max()} are not inside their range {range!r}")
    leader = int(np.argmax(table.mean(axis=1)))
    need = math.log((len(scores) - 1) / alpha)
    out = _evidence(table[leader] - table, table, range, need) >= need
    out[leader] = False
    stays = list(alive)
    for position, k in enumerate(inside):
        stays[k] = not bool(out[position])
    return stays


def _evidence(
    gaps: NDArray[np.float64], table: NDArray[np.float64], range: tuple[float, float], need: float
) -> NDArray[np.float64]:
    """Log-evidence that each row of `gaps` (candidates, items) has a mean above 0; infinite where only yes or no is
    known."""
    import numpy as np

    low, high = range
    if not math.isfinite(high - low):
        return np.where(_asymptotic(gaps, math.exp(-need)), math.inf, -math.inf)
    if bool(np.isin(table, (low, high)).all()):
        return np.asarray(_log_better((gaps > 0).sum(axis=1), (gaps < 0).sum(axis=1)), dtype=float)
    return e_mean(np.clip(gaps / (high - low), -1.0, 1.0))


def _asymptotic(gaps: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """Whether the asymptotic confidence sequence of each row's mean lies above 0 (its radius at t items, tuned for t*:
    sd * sqrt(2 (t r^2 + 1) / (t^2 r^2) * ln(sqrt(t r^2 + 1) / alpha)), r^2 = (-2 ln alpha + ln(1 - 2 ln alpha)) /
    t*)."""
    import numpy as np

    t = gaps.shape[1]
    if t < START:
        return np.zeros(len(gaps), dtype=bool)
    r2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / PLANNED
    reach = math.sqrt(2 * (t * r2 + 1) / (t * t * r2) * math.log(math.sqrt(t * r2 + 1) / alpha))
    above: NDArray[np.bool_] = gaps.mean(axis=1) > gaps.std(axis=1, ddof=1) * reach
    return above


def _log_e(wins: Any, losses: Any) -> Any:
    from scipy.special import betaln

    return betaln(0.5 + wins, 0.5 + losses) - betaln(0.5, 0.5) + (wins + losses) * math.log(2)


def _log_better(wins: Any, losses: Any) -> Any:
    from scipy.stats import beta

    return _log_e(wins, losses) + math.log(2) + beta.logsf(0.5, 0.5 + wins, 0.5 + losses)
