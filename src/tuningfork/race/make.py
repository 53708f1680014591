"""Let a method make one candidate within a share. Whatever it raises ends that making only, and comes back in words."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from ..candidate import Candidate
from ..errors import TuningforkError, is_disk_full
from ..log import Trained
from ..method import Bench, Chain, Known, Method, Note, Share
from ..task import Example
from .measure import spent
from .meter import Meter, MeteredModels
from .plan import Trial
from .state import Race, Take

REAL_OVER_PLANNED = 2.5
"""A share may take this many times its planned seconds on the wall before the clock ends it, and no longer than the
race may take, but always so many:"""
LEAST_SECONDS = 5.0


@dataclass(frozen=True)
class Lesson:
    """What one making learns from, and what it chooses on."""

    train: tuple[Example, ...]
    hold: tuple[Example, ...]


@dataclass(frozen=True)
class Made:
    """A candidate, or why there is none (`detail`: the traceback of a crash), and what it cost."""

    candidate: Candidate | None
    usage: Mapping[str, float]
    seconds: float
    why: str = ""
    detail: str = ""
    notes: Mapping[str, Note] = field(default_factory=dict)


def make(
    it: Race, trial: Trial, take: Take, lesson: Lesson, planned_seconds: float, usd: float, logged: bool = True
) -> Made:
    """One candidate. `logged`: whether its training curves go to the log, and a chain may start from the candidate of
    its first part."""
    real_seconds = max(LEAST_SECONDS, min(planned_seconds * REAL_OVER_PLANNED, it.left_seconds))
    meter = Meter(it.plan.rates, planned_seconds, real_seconds, usd=usd, prices=it.plan.prices)
    if logged:
        meter.on_tuned = lambda recipe, tuned: it.standing.write(
            Trained(
                trial.name,
                take.stage,
                asdict(recipe),
                tuple(asdict(point) for point in tuned.curve),
                tuned.why_stopped,
                asdict(tuned.usage),
                tuned.notes,
            )
        )
    notes: dict[str, Note] = {}
    bench = replace(_bench(it, trial, take, lesson, meter), note=notes.__setitem__)
    start = time.perf_counter()
    before = _first_part(it, trial, take) if logged else None
    try:
        candidate = trial.method(trial.start, bench) if before is None else before[0](before[1], bench)
    except TuningforkError as error:
        return Made(None, spent(meter, start), time.perf_counter() - start, str(error))
    except Exception as error:  # a method is anybody's code: its crash is its own end, with its reason, not the race's
        if is_disk_full(error):
            raise
        why = f"It crashed: {type(error).__name__}: {error}"
        return Made(None, spent(meter, start), time.perf_counter() - start, why, traceback.format_exc())
    seconds = time.perf_counter() - start + (before[2] if before else 0.0)
    return Made(candidate, spent(meter, start), seconds, notes=notes)


def _first_part(it: Race, trial: Trial, take: Take) -> tuple[Method, Candidate, float] | None:
    """Where the first part of a chain has run as a trial of its own: the rest of the chain, that trial's candidate and
    its seconds. The same method on the same bench gives the same candidate, so it is not run twice."""
    if not isinstance(trial.method, Chain):
        return None
    name = f"{trial.method.first.name}@{trial.model}"
    candidate = it.standing.candidate(name, take)
    if candidate is None:
        return None
    return trial.method.second, candidate, it.standing.takes[name, take].seconds


def _bench(it: Race, trial: Trial, take: Take, lesson: Lesson, meter: Meter) -> Bench:
    """What the method is given."""

    def left() -> Share:
        return meter.left(trial.model)

    return Bench(
        task=it.task,
        train=lesson.train,
        hold=lesson.hold,
        models=MeteredModels(tuple(it.capabilities), it.open_model, meter),
        metric=it.metric_asking(meter),
        left=left,
        seed=take.seed,
        rung=1 if take.stage == "final" else 0,
        unlabelled=it.split.unlabelled,
        documents=it.split.documents,
        known=_known(it, take, trial.name),
        mine=_mine(it, trial) if take.stage == "final" else None,
        capabilities=it.capabilities,
        spent=lambda: meter.spent_seconds,
    )


def _mine(it: Race, trial: Trial) -> Candidate | None:
    """What a trial came to before the final. Where that was fold by fold, only a road that is made of others goes on
    from its first one: on what it chose there the others have learned since."""
    return it.standing.candidate(trial.name, "race") or (
        it.standing.candidate(trial.name, "fold") if trial.waits else None
    )


def _known(it: Race, take: Take, own: str) -> tuple[Known, ...]:
    """Candidates that this making may start from, best dev mean first; ties in order of birth. Where there are folds,
    those of the same take, which saw no more than it does: how they answered the items is not for them to know. Of one
    that was adapted again for the final, the newest, with the value of the earlier one."""
    found = []
    for (name, other), born in list(it.standing.takes.items()):
        if name == own and take.seed != it.task.seed:
            continue  # its own candidate of another seed is no teacher
        candidate = it.standing.candidate(name, other)
        scores = it.standing.scores.get((name, born.candidate, "dev"), {}).values()
        answered = [score for score in scores if score is not None]
        if candidate is not None and (other == take if it.split.folds else other.stage == "race" and answered):
            newest = it.standing.candidate(name, "final")
            before = it.standing.candidate(name, "fold") if it.split.folds else candidate
            value = sum(answered) / len(answered) if answered else 0.0
            found.append(Known(name, newest or candidate, value, before if newest else None))
    sign = -1 if it.metric.higher_is_better else 1
    return tuple(sorted(found, key=lambda known: sign * known.value))
