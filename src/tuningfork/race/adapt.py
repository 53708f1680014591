"""Let methods make their candidates, each within its share. Whatever a method raises ends its own trial only."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ..candidate import Candidate
from ..errors import TuningforkError
from ..log import Noted, Stage, Trained, born_event
from ..method import Bench, Chain, Known, Method, Note, Share, settings
from ..model import Usage
from . import plan as plan_
from .measure import measure, spent
from .meter import Meter, MeteredModels
from .plan import Trial
from .state import Race

LAST_BEGIN = 0.85
"""When the wall clock has used so much of the budget, nothing is adapted again: the test comes first."""
REAL_OVER_PLANNED = 2.5
"""A share may take this many times its planned seconds on the wall before the clock ends it."""


def adapt_all(it: Race) -> None:
    """Every trial once, cheapest kind first, each measured on the first block at once, so that an answer stands
    early."""
    for index, trial in enumerate(it.trials):
        if not it.is_in(trial):
            continue
        if not it.is_born(trial, "race"):
            if it.late:
                it.leave(trial, "paused", "The part of the budget that is for racing was used up before its turn.")
                continue
            _adapt(it, trial, "race", _race_share(it, trial, it.trials[index:]))
        if it.is_in(trial) and it.split.dev:
            measure(it, trial, "race", "dev", 0, it.split.dev[: it.plan.block_items])


def adapt_again(it: Race, finalists: Sequence[Trial]) -> None:
    """The finalists once more, on train and dev together. One that can't be goes on as it is."""
    for trial in finalists:
        if it.is_born(trial, "final"):
            continue
        if it.spent_share < LAST_BEGIN:
            _adapt(it, trial, "final", _final_share(it, trial, finalists))
        else:
            it.standing.write(Noted(f"By the clock there was no time to adapt {trial.name} again on train and dev."))
            _keep_first_form(it, trial, {**asdict(Usage()), "planned": 0.0, "wall": 0.0})


def _race_share(it: Race, trial: Trial, rest: Sequence[Trial]) -> float:
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
    where all of that is more than half of what is left."""
    first = {t.name: max(1.0, it.standing.born[t.name, "race"].usage.get("planned", 0.0)) for t in finalists}
    waiting = sum(first[t.name] for t in finalists if not it.is_born(t, "final"))
    room = max(0.0, it.plan.seconds - it.standing.planned) * 0.5
    return first[trial.name] * min(1.5, room / waiting)


def _adapt(it: Race, trial: Trial, stage: Stage, planned_seconds: float) -> None:
    it.doing(f"{trial.name}: {'adapting' if stage == 'race' else 'adapting again on train and dev together'}")
    meter = Meter(it.plan.rates, planned_seconds, max(5.0, planned_seconds * REAL_OVER_PLANNED))
    meter.on_tuned = lambda recipe, tuned: it.standing.write(
        Trained(
            trial.name,
            stage,
            asdict(recipe),
            tuple(asdict(point) for point in tuned.curve),
            tuned.why_stopped,
            asdict(tuned.usage),
            tuned.notes,
        )
    )
    notes: dict[str, Note] = {}
    bench = replace(_bench(it, trial, stage, meter), note=notes.__setitem__)
    start = time.perf_counter()
    before = _first_part(it, trial, stage)
    try:
        candidate = trial.method(trial.start, bench) if before is None else before[0](before[1], bench)
    except TuningforkError as error:
        _fell(it, trial, stage, str(error), "", spent(meter, start))
        return
    except Exception as error:  # a method is anybody's code: its crash is its own end, with its reason, not the race's
        why = f"It crashed: {type(error).__name__}: {error}"
        _fell(it, trial, stage, why, traceback.format_exc(), spent(meter, start))
        return
    event = born_event(
        trial.name,
        candidate,
        parents=tuple(filter(None, [_parent(it, trial, stage)])),
        method=trial.method.name,
        model=trial.model or "",
        family=trial.method.family,
        settings=settings(trial.method),
        stage=stage,
        seed=it.task.seed,
        examples_used=len(bench.train),
        examples_chosen_on=len(bench.hold),
        seconds=round(time.perf_counter() - start + (before[2] if before else 0.0), 3),
        usage=spent(meter, start),
        notes=notes,
    )
    it.standing.add_born(event, candidate)


def _first_part(it: Race, trial: Trial, stage: Stage) -> tuple[Method, Candidate, float] | None:
    """Where the first part of a chain has run as a trial of its own: the rest of the chain, that trial's candidate and
    its seconds. The same method on the same bench gives the same candidate, so it is not run twice."""
    if not isinstance(trial.method, Chain):
        return None
    name = f"{trial.method.first.name}@{trial.model}"
    candidate = it.standing.candidate(name, stage)
    if candidate is None:
        return None
    return trial.method.second, candidate, it.standing.born[name, stage].seconds


def _parent(it: Race, trial: Trial, stage: Stage) -> str | None:
    before = it.standing.born.get((trial.name, "race"))
    return before.candidate if before and stage == "final" else None


def _bench(it: Race, trial: Trial, stage: Stage, meter: Meter) -> Bench:
    """What the method is given. In the final, dev has done its work of choosing and joins train."""

    def left() -> Share:
        return meter.left(trial.model)

    train = it.split.train if stage == "race" else (*it.split.train, *it.split.dev)
    return Bench(
        task=it.task,
        train=train,
        hold=it.split.hold,
        models=MeteredModels(tuple(it.capabilities), it.open_model, meter),
        metric=it.metric,
        left=left,
        seed=it.task.seed,
        rung=0 if stage == "race" else 1,
        unlabelled=it.split.unlabelled,
        documents=it.split.documents,
        known=_known(it),
        mine=it.standing.candidate(trial.name, "race") if stage == "final" else None,
        capabilities=it.capabilities,
    )


def _known(it: Race) -> tuple[Known, ...]:
    """Candidates born so far, best dev mean first; ties in order of birth."""
    found = []
    for trial, stage in list(it.standing.born):
        scores = it.standing.scores.get(it.standing.where(trial, stage, "dev"), {}).values()
        answered = [score for score in scores if score is not None]
        candidate = it.standing.candidate(trial, stage)
        if stage == "race" and answered and candidate is not None:
            found.append(Known(trial, candidate, sum(answered) / len(answered)))
    sign = -1 if it.metric.higher_is_better else 1
    return tuple(sorted(found, key=lambda known: sign * known.value))


def _fell(it: Race, trial: Trial, stage: Stage, why: str, detail: str, usage: Mapping[str, float]) -> None:
    if stage == "race":
        it.leave(trial, "failed", why, detail=detail, usage=usage)
        return
    it.standing.write(Noted(f"{trial.name} could not be adapted again for the final ({why}); its first form went on."))
    _keep_first_form(it, trial, usage)


def _keep_first_form(it: Race, trial: Trial, usage: Mapping[str, float]) -> None:
    """The candidate of the race goes to the final as it is; `usage` is what the vain try cost."""
    candidate = it.standing.candidate(trial.name, "race")
    assert candidate is not None
    first = it.standing.born[trial.name, "race"]
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
