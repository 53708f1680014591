"""Round by round, the next block of the same dev items for all that are still in; who is shown worse goes.

The test may be asked after every block (`stats.sequential`), with a promise over the whole race: the truly best trial
is ever sent out with probability at most `DROP_ALPHA`. So every trial that was born counts in it to the end, also one
that has left. The best of each family stays, however far behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..log import Noted
from ..metrics import item_range
from ..stats.sequential import still_in
from ..task import Example
from .measure import measure
from .plan import Trial
from .state import Race

DROP_ALPHA = 0.05


def race_on_dev(it: Race) -> None:
    """Measure and drop, block by block, until dev or the time is used up. A resumed race drops nobody twice, nor on
    other evidence than at first: rounds that it had gone beyond are over."""
    size, dev = it.plan.block_items, it.split.dev
    for block, begin in enumerate(range(0, len(dev), size)):
        if it.late and block:
            it.standing.write(Noted(f"Racing stopped by the clock after {begin} of {len(dev)} dev items."))
            return
        for trial in it.trials:
            if it.is_in(trial) and it.is_born(trial, "race"):
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
            _send_out(it, trial, born[leader], means[leader] - means[index], len(scores[index]))


def _send_out(it: Race, trial: Trial, leader: Trial, gap: float, items: int) -> None:
    why = f"Shown worse than {leader.name} by about {gap:.3f} after {items} dev items."
    it.leave(trial, "dropped", why, evidence={"gap": round(gap, 4), "items": items, "alpha": DROP_ALPHA})
