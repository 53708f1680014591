"""The cheap candidate answers when it is sure and passes the rest up to the dear one (FrugalGPT, Chen et al. 2023,
arXiv 2305.05176), with a stated guarantee by learn-then-test (Angelopoulos et al. 2021, arXiv 2110.01052).

The dear one is the best known on the first examples of hold: being chosen there makes it look better, so the test
harder. The cheap one is the best, by what the race knows already, of those that cost half of it or less. Thresholds are
fixed before anything is looked at, and tested on hold from the safest down; the last that passes is taken, and what it
promises stands in the candidate. Where none passes the dear one alone is right, and the method says why.

In the final the thresholds stay, since hold has been learnt from then, and each part is taken in its newest form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import ClassVar

from ..candidate import Candidate, Cascade, Guarantee, Prediction
from ..errors import MethodError
from ..method import Bench, Family, Known, Need
from ..model import Capability
from ..predict.cascade import sure
from ..stats.ltt import items_needed, p_worse, passing
from ..task import Kind
from .partners import able, heard, newest

THRESHOLDS = (
    *(0.999, 0.998, 0.995, 0.99, 0.98, 0.97, 0.95, 0.925, 0.9, 0.875, 0.85, 0.825, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55),
    *(0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.02, 0.01, 1e-3, 1e-4, 1e-6, 1e-9, 0.0),
)
"""Confidences from the safest down; the smallest are for written texts, whose likelihood falls with their length."""
CHEAP = 0.5
LOOK = 96
"""Examples on which the dear one is chosen, and costs are measured."""


@dataclass(frozen=True)
class CascadeOfKnown:
    """Asks a cheap candidate first and the best one where that is not sure, with a guarantee."""

    epsilon: float = 0.01
    delta: float = 0.1
    among: int = 6

    name: ClassVar[str] = "cascade"
    family: ClassVar[Family] = "hybrid"
    needs: ClassVar[frozenset[Need]] = frozenset({"known"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if isinstance(bench.mine, Cascade):
            return _renewed(bench.mine, bench)
        if not (0 < self.epsilon < 1 and 0 < self.delta < 1):
            raise MethodError(f"epsilon={self.epsilon:g} and delta={self.delta:g} are shares: 0.01 is one point.")
        span = bench.metric.range[1] - bench.metric.range[0]
        if not isfinite(span):
            raise MethodError(f"The metric {bench.metric.name} has no bounds, so nothing can be promised of its mean.")
        cheap, dear = self._pair(bench)
        low, high = heard(bench, [cheap.candidate, dear.candidate])
        gaps = [(best - score) / span for score, best in zip(low.scores, high.scores, strict=True)]
        try:
            share = low.cost_beside(high)
            threshold, guarantee = choose(low.predictions, gaps, share, self.epsilon, self.delta)
        except MethodError as error:
            raise MethodError(f"Before {dear.trial}, {cheap.trial} gives no cascade: {error}") from None
        return Cascade((cheap.candidate, dear.candidate), (threshold,), guarantee)

    def _pair(self, bench: Bench) -> tuple[Known, Known]:
        """The cheap one and the dear one."""
        known = able(bench, self.among)
        if len(known) < 2:
            raise MethodError(f"A cascade needs two candidates that ask a model, and this race has {len(known)}.")
        said = heard(bench, [one.candidate for one in known], LOOK)
        best = max(range(len(known)), key=lambda i: (sum(said[i].scores), -i))
        for one, its in zip(known, said, strict=True):
            if its.cost_beside(said[best]) <= CHEAP and any(p.confidence is not None for p in its.predictions):
                return one, known[best]
        raise MethodError(
            f"None of the other {len(known) - 1} candidates costs at most half of {known[best].trial}, the best one,"
            " and says how sure it is. That one alone is right."
        )


def choose(
    cheap: Sequence[Prediction], gaps: Sequence[float], cost: float, epsilon: float, delta: float
) -> tuple[float, Guarantee]:
    """The boldest threshold that is shown to lose less than `epsilon`, and what it promises. `gaps`: what the cheap one
    loses on each item, as a share of the score's range; `cost`: what it costs, as a share of the dear one's. Raises
    MethodError with the reason where there is none."""
    kept = [[sure(p, threshold) for p in cheap] for threshold in THRESHOLDS]
    lost = [[gap * keeps for gap, keeps in zip(gaps, row, strict=True)] for row in kept]
    passed = passing((p_worse(row, epsilon) for row in lost), delta)
    keeps = kept[passed - 1] if passed else [False]
    if not any(keeps):
        raise MethodError(_refused(next((r for r, k in zip(lost, kept, strict=True) if any(k)), []), epsilon, delta))
    up = 1 - sum(keeps) / len(keeps)
    if cost + up >= 1:
        raise MethodError(f"it would cost {cost + up:.2f} times what the dear one costs alone.")
    return THRESHOLDS[passed - 1], Guarantee(epsilon, delta, len(gaps), round(up, 4), round(cost + up, 4))


def _refused(gaps: Sequence[float], epsilon: float, delta: float) -> str:
    needed = items_needed(gaps, epsilon, delta)
    count = f"about {needed} examples like these" if needed else "no number of examples like these"
    return (
        f"no threshold at which it answers anything is shown to lose at most {100 * epsilon:g} points (at a risk of"
        f" {delta:g}) on {len(gaps)} hold examples; {count} would show it. The dear one alone is right."
    )


def _renewed(mine: Cascade, bench: Bench) -> Cascade:
    """The cascade with the newest form of its parts; what was shown was shown of the earlier ones."""
    parts = tuple(newest(part, bench) for part in mine.parts)
    if mine.guarantee is None or parts == mine.parts:
        return replace(mine, parts=parts)
    return replace(mine, parts=parts, guarantee=replace(mine.guarantee, earlier_parts=True))
