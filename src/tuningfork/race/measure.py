"""One block of items through a candidate: the same `predict` that serves users, metered and logged, an item a row."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from ..candidate import Candidate, Prediction
from ..errors import BudgetSpent, MethodError
from ..log import Measured, Row, SplitName, Stage
from ..metrics import Metric
from ..model import Model
from ..predict import predict
from ..task import Example
from .meter import Meter, MeteredModels
from .money import free_meter
from .plan import Trial
from .state import Race, Status, Take, Where

Answered = tuple[Example, Prediction, float | None]


def measure(it: Race, trial: Trial, take: Stage | Take, split: SplitName, block: int, items: Sequence[Example]) -> None:
    """Log what a trial's candidate answers, unless that was done before. A candidate that breaks down has failed."""
    candidate = it.standing.candidate(trial.name, take)
    where = it.standing.where(trial.name, take, split)
    if candidate is None or block in it.standing.measured.get(where, set()):
        return
    it.doing(f"{trial.name}: {split} block {block + 1}, {len(items)} items")
    stage = take.stage if isinstance(take, Take) else take
    meter = free_meter(it, stage)
    models = MeteredModels(tuple(it.capabilities), it.open_model, meter)
    start = time.perf_counter()
    try:
        rows = [_row(where, block, found) for found in answered(it, candidate, models, items)]
    except BudgetSpent as error:
        status: Status = "paused" if stage == "race" else "failed"
        it.leave(trial, status, f"The money ended on {split}. {error}", usage=spent(meter, start))
        return
    except Exception as error:  # a candidate may hold the user's own function, or a model may break down
        why = f"It broke down on {split}: {type(error).__name__}: {error}"
        it.leave(trial, "failed", why, detail=traceback.format_exc(), usage=spent(meter, start))
        return
    scores = [row.score for row in rows if row.score is not None]
    event = Measured(
        trial=trial.name,
        candidate=where[1],
        split=split,
        block=block,
        items=len(rows),
        failed=len(rows) - len(scores),
        value=sum(scores) / len(scores) if scores else 0.0,
        seconds=round(time.perf_counter() - start, 3),
        usage=spent(meter, start),
        seed=take.seed if isinstance(take, Take) else it.task.seed,
    )
    it.standing.add_rows(rows, event)


def spent(meter: Meter, start: float) -> dict[str, float]:
    """A meter's usage for the log: also its seconds on the planned clock and, since `start`, on the wall."""
    usage = {**asdict(meter.usage), "seconds": round(meter.usage.seconds, 3)}
    return {**usage, "planned": round(meter.spent_seconds, 6), "wall": round(time.perf_counter() - start, 3)}


def answered(
    it: Race, candidate: Candidate, models: Mapping[str, Model], items: Sequence[Example]
) -> Iterator[Answered]:
    """Each item with its prediction and its score by the metric that decides; None where it failed. Raises MethodError
    for a score outside the metric's range."""
    for example, p in zip(items, predict(candidate, models, [e.inputs for e in items]), strict=True):
        yield example, p, None if p.failure else _checked(it.metric, float(it.metric.item(example, p)))


def _row(where: Where, block: int, found: Answered) -> Row:
    (trial, name, split), (example, p, score) = where, found
    failure = f"{p.failure.kind}: {p.failure.message}" if p.failure else None
    return Row(trial, name, split, block, example.id, p.answer, score, p.confidence, failure, p.seconds, p.nats)


def _checked(metric: Metric, score: float) -> float:
    low, high = metric.range
    if not low <= score <= high:  # also false for NaN
        raise MethodError(f"The metric {metric.name} gave {score}, outside its range of {low} to {high}.")
    return score
