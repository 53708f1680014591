"""The noise floor: what two candidates differ by that ought not to differ at all.

One road is taught twice, each time on another half of train and under another seed. Neither half is better than the
other, so whatever parts the two is luck: of seeds, of examples, of the items of dev. A difference of that size between
two roads says nothing by itself. The cheapest road whose two halves come to different candidates is taken.
"""

from __future__ import annotations

from ..candidate import identity
from ..log import Twins
from ..metrics import item_range
from ..stats.paired import difference
from .plan import Trial
from .rungs import FEWEST, added, cost_of, part, taught
from .state import Race, Take

TRIES = 2
"""Roads that are tried; one that learns nothing from examples comes to the same candidate twice."""


def twins(it: Race) -> None:
    """Log the noise floor, where the plan wants one and has room for it."""
    if not it.plan.rungs or not it.split.dev or it.standing.twins is not None or it.standing.finalists is not None:
        return
    free = [t for t in it.trials if t.model not in it.plan.prices]
    born = [t for t in free if it.is_born(t, "race") and t.method.family not in ("baseline", "yours")]
    cheap = sorted(born, key=lambda t: cost_of(it, t, 0.5))
    for trial in [t for t in cheap if t.method.family in ("tune", "soft", "prompt")][:TRIES]:
        cost = 2 * cost_of(it, trial, 0.5)
        if it.late or not (it.is_small(cost) or cost <= it.plan.rung_seconds):
            return
        if _taken(it, trial):
            return


def _taken(it: Race, trial: Trial) -> bool:
    """Whether the trial's halves came to different candidates; then they are in the log."""
    seeds = (it.task.seed, it.task.seed + 1)
    halves = [part(it, trial, 0.5, it.task.seed, rest) for rest in (False, True)]
    if min(len(half.train) for half in halves) < FEWEST:
        return False
    one, other = (taught(it, trial, Take("race", seed), 0.5, half) for seed, half in zip(seeds, halves, strict=True))
    if one is None or other is None:
        return False
    if identity(one.candidate) == identity(other.candidate):
        it.standing.note(
            f"{trial.name} is the same whichever half of train it learns from.", added(one.usage, other.usage)
        )
        return False
    pairs = [(a, b) for a, b in zip(one.scores, other.scores, strict=True) if a is not None and b is not None]
    if not pairs:
        return False
    gap = difference([a for a, _ in pairs], [b for _, b in pairs], bounds=item_range(it.metric))
    it.standing.write(
        Twins(
            trial=trial.name,
            seeds=seeds,
            examples=len(halves[0].train),
            items=len(pairs),
            difference=gap.value,
            low=gap.low,
            high=gap.high,
            discordance=gap.discordance,
            seconds=one.seconds + other.seconds,
            usage=added(one.usage, other.usage),
        )
    )
    return True
