"""A race on few examples: every road is taken fold by fold; each example is answered by candidates that never saw it.

There is no dev and nobody is dropped: each answer counts in the one test. A road's first fold says what the others will
cost; one that is too dear for what is left of the budget is paused. All folds are dealt anew and taken again, up to
three times, where that costs little or there is room. In the end every road that came through adapts once more, on all
examples: that candidate is shipped, and its value is the one of the folds, which is a little under what it will do.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..log import Finalists, TestOpened
from . import money
from .adapt import LAST_BEGIN, adapt, adapt_again, race_share
from .final import probe_all
from .measure import measure
from .plan import TUNE_SHARE, Trial
from .state import Race, Take


def cross_fit(it: Race, looks: int) -> None:
    """The whole race in folds: first every trial once, then again where there is room, then what is shipped."""
    if it.standing.finalists is None:
        if it.standing.test_items is None:
            it.standing.write(TestOpened(len(it.split.test), len(it.split.test), looks))
        for index, trial in enumerate(it.trials):
            _repeat(it, trial, 0, it.trials[index:])
        for repeat in range(1, min(it.plan.seeds, len(it.split.folds))):
            for trial in it.trials:
                if _is_through(it, trial, repeat - 1):
                    _repeat(it, trial, repeat, [trial])
        through = [t.name for t in it.trials if _is_through(it, t, 0)]
        it.standing.write(Finalists(tuple(through), dict.fromkeys(through, "answered every fold")))
    by_name = {trial.name: trial for trial in it.trials}
    finalists = [by_name[name] for name in it.standing.finalists or ()]
    adapt_again(it, finalists)
    probe_all(it, finalists)


def _repeat(it: Race, trial: Trial, repeat: int, rest: Sequence[Trial]) -> None:
    """One trial through all folds of a repeat, unless it has left or there is no room."""
    folds = it.split.folds[repeat]
    for number, fold in enumerate(folds):
        take = Take("fold", it.task.seed + repeat, number)
        if not it.is_in(trial):
            return
        if not it.is_born(trial, take):
            if not _fits(it, trial, repeat, number, rest):
                return
            left = len(folds) - number
            adapt(it, trial, take, race_share(it, trial, rest) / left, money.waiting(it, rest, trial) * left)
        if it.is_in(trial) and it.is_born(trial, take):
            measure(it, trial, take, "test", repeat * len(folds) + number, fold.test)


def _fits(it: Race, trial: Trial, repeat: int, number: int, rest: Sequence[Trial]) -> bool:
    """Whether a trial may take its next fold. In the first repeat one that may not is paused."""
    folds = len(it.split.folds[repeat])
    fold = _cost_of_a_fold(it, trial)
    left = it.plan.race_seconds - it.standing.planned
    if repeat:
        if it.plan.usd is not None and trial.model in it.plan.prices:
            return False
        if it.spent_share >= LAST_BEGIN:
            it.standing.note("By the clock there was no time to take all folds again.")
            return False
        return bool(number) or it.is_small(fold * folds) or fold * folds <= min(left, it.plan.seed_seconds)
    others = sum(t.trains for t in rest) if not trial.trains else 0
    room = max(0.0, left - it.plan.race_seconds * TUNE_SHARE) if others else left
    if it.late:
        it.leave(trial, "paused", "The part of the budget that is for racing was used up before its turn.")
    elif number and fold * (folds - number) > room:
        need = f"{fold:.0f} planned seconds a fold, and {folds - number} folds to go"
        it.leave(trial, "paused", f"Too dear for this budget: {need}. A larger --budget runs all.")
    return it.is_in(trial)


def _cost_of_a_fold(it: Race, trial: Trial) -> float:
    """Planned seconds of adapting and answering, as in the first fold."""
    take = Take("fold", it.task.seed, 0)
    if not it.is_born(trial, take):
        return 0.0
    where, event = it.standing.where(trial.name, take, "test"), it.standing.takes[trial.name, take]
    blocks = max(1, len(it.standing.measured.get(where, ())))
    return event.usage.get("planned", 0.0) + it.standing.planned_measuring.get(where, 0.0) / blocks


def _is_through(it: Race, trial: Trial, repeat: int) -> bool:
    """Whether a trial has answered all folds of a repeat."""
    folds = range(len(it.split.folds[repeat]))
    return it.is_in(trial) and all(it.is_born(trial, Take("fold", it.task.seed + repeat, n)) for n in folds)
