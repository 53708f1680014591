"""Round by round, the next block of the same dev items for all that are still in; who is shown worse goes.

The test may be asked after every block (`stats.sequential`), with a promise over the whole race: the truly best trial
is ever sent out with probability at most `DROP_ALPHA`. So every trial that was born counts in it to the end, also one
that has left. The best of each family stays, however far behind.

Learning curves cross: a road 30 points behind at 8 examples a label can lead at 64. So one that learns is dropped only
where the optimistic end of its curve's forecast, at the examples that the final has, lies below the leader's lower end;
else it is paused: measured no further on dev, but it may still go to the final.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..metrics import item_range
from ..stats.curves import forecast
from ..stats.intervals import mean_interval
from ..stats.sequential import still_in
from ..task import Example
from .measure import measure
from .money import block_is_paid
from .plan import Trial
from .rungs import climbs, points
from .state import Race

DROP_ALPHA = 0.05


def race_on_dev(it: Race) -> None:
    """Measure and drop, block by block, until dev or the time is used up. A resumed race drops nobody twice, nor on
    other evidence than at first: rounds that it had gone beyond are over."""
    size, dev = it.plan.block_items, it.split.dev
    for block, begin in enumerate(range(0, len(dev), size)):
        if it.late and block:
            it.standing.note(f"Racing stopped by the clock after {begin} of {len(dev)} dev items.")
            return
        going = [trial for trial in it.trials if it.is_in(trial) and it.is_born(trial, "race")]
        if block and not _begun(it, block) and not block_is_paid(it, going, size):
            it.standing.note(f"Racing stopped by the money after {begin} of {len(dev)} dev items.")
            return
        for trial in going:
            if it.is_in(trial):
                measure(it, trial, "race", "dev", block, dev[begin : begin + size])
        if not _begun(it, block + 1):
            _drop(it, dev[: begin + size])


def _begun(it: Race, block: int) -> bool:
    """Whether a trial has been measured on this block."""
    born = [t for t in it.trials if it.is_born(t, "race")]
    return any(block in it.standing.measured.get(it.standing.where(t.name, "race", "dev"), ()) for t in born)


def _drop(it: Race, items: Sequence[Example]) -> None:
    """Those shown worse than the leader on these items leave, but for the best of each family. A failed item counts as
    the worst score here, where nothing is reported."""
    low, high = item_range(it.metric)
    sign = 1.0 if it.metric.higher_is_better else -1.0
    worst, bounds = (low, (low, high)) if sign > 0 else (high, (-high, -low))
    born = [t for t in it.trials if it.is_born(t, "race")]
    alive = [it.is_in(t) for t in born]
    if not any(alive):
        return
    scores = []
    for trial in born:
        found = it.standing.scores.get(it.standing.where(trial.name, "race", "dev"), {})
        mine = [found[e.id] for e in items if e.id in found]
        scores.append([sign * (worst if score is None else score) for score in mine])
    stays = still_in(scores, alive, bounds, DROP_ALPHA)
    means = [sum(s) / len(s) if s and alive[i] else float("-inf") for i, s in enumerate(scores)]
    leader = max(range(len(born)), key=lambda i: means[i])
    best_of: dict[str, int] = {}
    for index in sorted(range(len(born)), key=lambda i: -means[i]):
        best_of.setdefault(born[index].method.family, index)
    for index, trial in enumerate(born):
        if alive[index] and not stays[index] and best_of[trial.method.family] != index:
            least = mean_interval(scores[leader], bounds=bounds).low
            _send_out(it, trial, born[leader], means[leader] - means[index], len(scores[index]), least)


def _send_out(it: Race, trial: Trial, leader: Trial, gap: float, items: int, least: float) -> None:
    """Drop a trial, or pause it where its curve may still reach `least`, the lower end of the leader's mean."""
    evidence = {"gap": round(gap, 4), "items": items, "alpha": DROP_ALPHA}
    said = f"worse than {leader.name} by about {gap:.3f} after {items} dev items."
    if climbs(trial):
        examples = len(it.split.train) + len(it.split.dev)
        reach = _reach(it, trial, examples, items)
        evidence |= {"reach": round(reach, 4), "examples": examples, "leader_low": round(least, 4)}
        if reach >= least:
            why = f"Shown {said} Its learning curve may still reach the leader with {examples} examples."
            it.leave(trial, "paused", why, evidence=evidence)
            return
    it.leave(trial, "dropped", f"Shown {said}", evidence=evidence)


def _reach(it: Race, trial: Trial, examples: int, items: int) -> float:
    """The optimistic end of what a trial's curve foretells; higher is better."""
    low, high = item_range(it.metric)
    bounds = (low, high) if it.metric.higher_is_better else (-high, -low)
    seen = points(it, trial)
    spread = high - low if math.isfinite(high - low) else max(v for _, v in seen) - min(v for _, v in seen)
    return forecast(seen, examples, bounds=bounds, error=spread / 2 / math.sqrt(items)).high
