"""Every trial adapts once in the race, and the finalists again: on train and dev together, then under further seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ..log import Born, born_event
from ..method import settings
from ..model import Usage
from . import money
from . import plan as plan_
from .aside import dealt
from .make import Lesson, Made, make
from .measure import measure
from .plan import Trial
from .rungs import climb
from .state import Race, Take

LAST_BEGIN = 0.85
"""When the wall clock has used so much of the budget, nothing is adapted again: the test comes first."""


def adapt_all(it: Race) -> None:
    """Every trial once, cheapest kind first, each measured on the first block at once, so that an answer stands early;
    then it climbs its rungs."""
    take = Take("race", it.task.seed)
    for index, trial in enumerate(it.trials):
        if not it.is_in(trial):
            continue
        if not it.is_born(trial, take):
            if it.late:
                it.leave(trial, "paused", "The part of the budget that is for racing was used up before its turn.")
                continue
            rest = it.trials[index:]
            adapt(it, trial, take, race_share(it, trial, rest), money.waiting(it, rest, trial))
        if it.is_in(trial) and it.split.dev:
            measure(it, trial, take, "dev", 0, it.split.dev[: it.plan.block_items])
            climb(it, trial)


def adapt_again(it: Race, finalists: Sequence[Trial]) -> None:
    """The finalists once more, on train and dev together. One that can't be goes on as it is. What is made of others'
    candidates comes last, and is given their newest."""
    take = Take("final", it.task.seed)
    for trial in sorted(finalists, key=lambda trial: trial.waits):
        if it.is_born(trial, take):
            continue
        if it.spent_share < LAST_BEGIN:
            rest = [t for t in finalists if not it.is_born(t, take)]
            adapt(it, trial, take, _final_share(it, trial, finalists), money.waiting(it, rest, trial))
        else:
            it.standing.note(f"By the clock there was no time to adapt {trial.name} again on train and dev.")
            _keep_first_form(it, trial, {**asdict(Usage()), "planned": 0.0, "wall": 0.0})


def adapt(it: Race, trial: Trial, take: Take, planned_seconds: float, waiting: int = 1) -> None:
    """One candidate, born into the log; or the reason why there is none. `waiting`: how many, this one included, are
    still to have their part of the money."""
    it.doing(f"{trial.name}: {_DOING[take.stage]}" + (f", fold {take.fold + 1}" if take.stage == "fold" else ""))
    lesson = lesson_of(it, trial, take)
    made = make(it, trial, take, lesson, planned_seconds, money.adapting_usd(it, take.stage, waiting))
    if made.candidate is None:
        _fell(it, trial, take, made)
        return
    first = _first(it, trial)
    event = born_event(
        trial.name,
        made.candidate,
        parents=(first.candidate,) if first and take.stage == "final" else (),
        method=trial.method.name,
        model=trial.model or "",
        family=trial.method.family,
        settings=settings(trial.method),
        stage=take.stage,
        seed=take.seed,
        fold=take.fold,
        examples_used=len(lesson.train),
        examples_chosen_on=len(lesson.hold),
        seconds=round(made.seconds, 3),
        usage=made.usage,
        notes=made.notes,
    )
    it.standing.add_born(event, made.candidate)


_DOING = {"race": "adapting", "final": "adapting again on all but the test", "fold": "adapting without the items"}


def lesson_of(it: Race, trial: Trial, take: Take) -> Lesson:
    """What a take learns from. In the final, dev has done its work of choosing and joins train."""
    if take.stage == "final":
        return Lesson((*it.split.train, *it.split.dev), it.split.hold)
    part = it.split.folds[take.seed - it.task.seed][take.fold] if take.stage == "fold" else it.split
    return Lesson(*dealt(part.train, part.hold, trial, it.trials))


def race_share(it: Race, trial: Trial, rest: Sequence[Trial]) -> float:
    """Planned seconds for a trial's first adapting; what others left unused comes to those after them."""
    left = max(0.0, it.plan.race_seconds - it.standing.planned)
    for_training = it.plan.race_seconds * plan_.TUNE_SHARE if any(t.trains for t in rest) else 0.0
    if trial.trains:
        return left / sum(t.trains for t in rest)
    reading = sum(not t.trains for t in rest)
    for_reading = max(0.0, left - for_training)
    return max(for_reading * max(plan_.READ_MOST, 1 / reading), left * plan_.READ_LEAST / reading)


def _final_share(it: Race, trial: Trial, finalists: Sequence[Trial]) -> float:
    """Planned seconds for adapting again: as much as the first time and a half, or an equal part of what may go into it
    where all of that is more than half of what is left. Where there is room for several seeds, each gets its part."""
    first = {t.name: _first_cost(it, t) for t in finalists}
    waiting = sum(first[t.name] for t in finalists if not it.is_born(t, "final"))
    room = max(0.0, it.plan.seconds - it.standing.planned) * 0.5
    seeds = max(1, min(it.plan.seeds, int(room / waiting)))
    return first[trial.name] * min(1.5, room / (waiting * seeds))


def _first_cost(it: Race, trial: Trial) -> float:
    first = _first(it, trial)
    return max(1.0, first.usage.get("planned", 0.0) if first else 0.0)


def _first(it: Race, trial: Trial) -> Born | None:
    """The first candidate of a trial."""
    born = it.standing.born
    return born.get((trial.name, "race")) or born.get((trial.name, "fold"))


def _fell(it: Race, trial: Trial, take: Take, made: Made) -> None:
    if take.seed != it.task.seed:
        it.standing.note(f"{trial.name} could not be adapted under seed {take.seed} ({made.why}).", made.usage)
    elif take.stage != "final":
        it.leave(trial, "failed", made.why, detail=made.detail, usage=made.usage)
    else:
        it.standing.note(f"{trial.name} could not be adapted again for the final ({made.why}); its first form went on.")
        _keep_first_form(it, trial, made.usage)


def _keep_first_form(it: Race, trial: Trial, usage: Mapping[str, float]) -> None:
    """The first candidate goes to the final as it is; `usage` is what the vain try cost."""
    first = _first(it, trial)
    assert first is not None
    candidate = it.standing.candidate(trial.name, first.stage)
    assert candidate is not None
    event = born_event(
        trial.name,
        candidate,
        parents=(first.candidate,),
        method=first.method,
        model=first.model,
        family=first.family,
        settings=first.settings,
        stage="final",
        seed=first.seed,
        examples_used=first.examples_used,
        examples_chosen_on=first.examples_chosen_on,
        seconds=usage["wall"],
        usage=usage,
    )
    it.standing.add_born(event, candidate)
