"""Learning curves of the race: a trial that learns is taught again on a part of train, and measured on dev.

A road that costs next to nothing always climbs, under as many seeds as fit; others where the plan keeps seconds for it.
What a rung costs is known beforehand, because the trial has adapted on all of train already. The curve says who may
still overtake (`rounds`), and what more examples would bring. Prompts climb rungs of items instead: the blocks of dev.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..candidate import Candidate, identity
from ..errors import is_disk_full
from ..log import Rung
from ..method import Chain
from ..model import Failure
from ..stats.curves import Point
from ..task import Example
from . import money
from .aside import dealt
from .make import Lesson, make
from .measure import answered, spent
from .meter import MeteredModels
from .plan import Trial
from .state import SMALL, Race, Take

LEARN = ("tune", "soft")
"""Families whose candidates grow better with examples, one step at a time."""
RUNG_ITEMS = 128
FEWEST = 8
"""Examples under which a rung says nothing."""
SPARE = 1.25
"""A rung's share of the planned clock over what it should cost."""


def climbs(trial: Trial) -> bool:
    """Whether a trial has a curve. A chain has not: its parts do."""
    return trial.method.family in LEARN and not isinstance(trial.method, Chain)


def climb(it: Race, trial: Trial) -> None:
    """Measure the rungs of a trial that there is room for, fewest examples first, seed by seed."""
    if not climbs(trial):
        return
    learners = sum(climbs(t) for t in it.trials)
    room = max(SMALL * it.plan.seconds, it.plan.rung_seconds / learners)
    for seed in range(it.task.seed, it.task.seed + it.plan.seeds):
        for share in it.plan.rungs:
            done = it.standing.rungs.get(trial.name, [])
            lesson = part(it, trial, share, seed)
            known = any((rung.examples, rung.seed) == (len(lesson.train), seed) for rung in done)
            if known or len(lesson.train) < FEWEST:
                continue
            spent_so_far = sum(rung.usage.get("planned", 0.0) for rung in done)
            if spent_so_far + cost_of(it, trial, share) > room:
                return
            if not _measure(it, trial, Take("race", seed), share, lesson):
                return


def points(it: Race, trial: Trial) -> list[Point]:
    """A trial's curve so far: its rungs, and all of train with its mean on dev; higher is better."""
    sign = 1.0 if it.metric.higher_is_better else -1.0
    found = [(rung.examples, sign * rung.value) for rung in it.standing.rungs.get(trial.name, [])]
    scores = it.standing.scores.get(it.standing.where(trial.name, "race", "dev"), {}).values()
    here = [score for score in scores if score is not None]
    learned = len(dealt(it.split.train, it.split.hold, trial, it.trials)[0])
    return [*found, *([(learned, sign * sum(here) / len(here))] if here else [])]


def part(it: Race, trial: Trial, share: float, seed: int, rest: bool = False) -> Lesson:
    """So much of train and of hold, drawn by seed and evenly by label, or the rest of them. Less is a part of more."""

    def cut(examples: Sequence[Example], name: str) -> tuple[Example, ...]:
        order = list(examples)
        random.Random(f"rung {name} {seed}").shuffle(order)
        seen: Counter[str] = Counter()
        of_label = Counter(map(_label, order))
        ranks = []
        for example in order:
            ranks.append((seen[_label(example)] + 0.5) / of_label[_label(example)])
            seen[_label(example)] += 1
        return tuple(e for e, rank in zip(order, ranks, strict=True) if (rank < share) != rest)

    train, hold = dealt(it.split.train, it.split.hold, trial, it.trials)
    return Lesson(cut(train, "train"), cut(hold, "hold"))


def _label(example: Example) -> str:
    return example.target if isinstance(example.target, str) else ""


def items_of(it: Race) -> Sequence[Example]:
    """The items of dev that rungs are measured on."""
    return it.split.dev[:RUNG_ITEMS]


def cost_of(it: Race, trial: Trial, share: float) -> float:
    """Planned seconds of teaching a trial so much of train and measuring it."""
    where = it.standing.where(trial.name, "race", "dev")
    asked = len(it.standing.scores.get(where, {}))
    an_item = it.standing.planned_measuring.get(where, 0.0) / asked if asked else 0.0
    return share * it.standing.born[trial.name, "race"].usage.get("planned", 0.0) + an_item * len(items_of(it))


@dataclass(frozen=True)
class Taught:
    """A candidate that was made only to be measured: its scores on `items_of` dev, and what all of that cost."""

    candidate: Candidate
    scores: tuple[float | None, ...]
    seconds: float
    usage: Mapping[str, float]


def taught(it: Race, trial: Trial, take: Take, share: float, lesson: Lesson) -> Taught | None:
    """Teach a trial a part of train and measure it on dev. None, with a note, where it can't learn from that."""
    it.doing(f"{trial.name}: learning from {len(lesson.train)} examples")
    born = it.standing.born[trial.name, "race"]
    planned_seconds = SPARE * max(1.0, share * born.usage.get("planned", 0.0))
    usd = money.adapting_usd(it, "race", len(it.trials))
    made = make(it, trial, take, lesson, planned_seconds, usd, logged=False)
    meter, start = money.free_meter(it, "race"), time.perf_counter()
    why, scores = made.why, []
    if made.candidate is not None:
        models = MeteredModels(tuple(it.capabilities), it.open_model, meter)
        try:
            found = answered(made.candidate, models, items_of(it), it.metric_asking(meter))
            scores = [None if isinstance(score, Failure) else score for _, _, score in found]
        except Exception as error:  # as in `measure`: a model may break down; here it costs a curve only
            if is_disk_full(error):
                raise
            why = f"{type(error).__name__}: {error}"
    usage = added(made.usage, spent(meter, start))
    if made.candidate is None or not any(score is not None for score in scores):
        it.standing.note(
            f"{trial.name} gave no answers after learning from {len(lesson.train)} examples ({why}).", usage
        )
        return None
    return Taught(made.candidate, tuple(scores), round(made.seconds + time.perf_counter() - start, 3), usage)


def _measure(it: Race, trial: Trial, take: Take, share: float, lesson: Lesson) -> bool:
    found = taught(it, trial, take, share, lesson)
    if found is None:
        return False
    here = [score for score in found.scores if score is not None]
    value, size, name = sum(here) / len(here), len(lesson.train), identity(found.candidate)
    it.standing.write(Rung(trial.name, size, take.seed, name, value, len(here), found.seconds, found.usage))
    return True


def added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Two usages together."""
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}
