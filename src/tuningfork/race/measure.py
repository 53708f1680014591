"""One block of items through a candidate: the same `predict` that serves users, metered and logged, an item a row."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from ..candidate import Candidate, Prediction
from ..errors import BudgetSpent, is_disk_full
from ..log import Measured, Row, SplitName, Stage
from ..metrics import Metric, scores
from ..model import Failure, Model, Usage
from ..predict import predict
from ..task import Example
from .meter import Meter, MeteredModels
from .money import free_meter
from .plan import Trial
from .state import Race, Status, Take, Where

Answered = tuple[Example, Prediction, float | Failure]


def measure(it: Race, trial: Trial, take: Stage | Take, split: SplitName, block: int, items: Sequence[Example]) -> None:
    """Log what a trial's candidate answers, unless that was done before. A candidate that breaks down has failed."""
    candidate = it.standing.candidate(trial.name, take)
    where = it.standing.where(trial.name, take, split)
    if candidate is None or block in it.standing.measured.get(where, set()):
        return
    it.doing(f"{trial.name}: {split} block {block + 1}, {len(items)} items")
    stage = take.stage if isinstance(take, Take) else take
    meter, judging = free_meter(it, stage), free_meter(it, stage)
    models = MeteredModels(tuple(it.capabilities), it.open_model, meter)
    start = time.perf_counter()
    try:
        rows = [_row(where, block, each) for each in answered(candidate, models, items, it.metric_asking(judging))]
    except BudgetSpent as error:
        why = f"The money ended on {split}. {error}"
        _ends(it, trial, take, "paused" if stage == "race" else "failed", why, spent(meter, start) | judged(judging))
        return
    except Exception as error:  # a candidate may hold the user's own function, or a model may break down
        if is_disk_full(error):
            raise
        why = f"It broke down on {split}: {type(error).__name__}: {error}"
        _ends(it, trial, take, "failed", why, spent(meter, start) | judged(judging), traceback.format_exc())
        return
    found = [row.score for row in rows if row.score is not None]
    event = Measured(
        trial=trial.name,
        candidate=where[1],
        split=split,
        block=block,
        items=len(rows),
        failed=len(rows) - len(found),
        value=sum(found) / len(found) if found else 0.0,
        seconds=round(time.perf_counter() - start, 3),
        usage={**spent(meter, start), **judged(judging)},
        seed=take.seed if isinstance(take, Take) else it.task.seed,
    )
    it.standing.add_rows(rows, event)


def _ends(
    it: Race,
    trial: Trial,
    take: Stage | Take,
    status: Status,
    why: str,
    usage: Mapping[str, float],
    detail: str = "",
) -> None:
    """A trial goes no further; under a further seed only that seed does not count."""
    if isinstance(take, Take) and take.seed != it.task.seed:
        it.standing.note(f"{trial.name} under seed {take.seed}: {why}", usage)
    else:
        it.leave(trial, status, why, detail=detail, usage=usage)


def spent(meter: Meter, start: float) -> dict[str, float]:
    """A meter's usage for the log: also its seconds on the planned clock and, since `start`, on the wall."""
    usage = {**asdict(meter.usage), "seconds": round(meter.usage.seconds, 3)}
    return {**usage, "planned": round(meter.spent_seconds, 6), "wall": round(time.perf_counter() - start, 3)}


def judged(meter: Meter) -> dict[str, float]:
    """What a judge took, for the log: apart from what the candidate did. Nothing where none was asked."""
    if meter.usage == Usage():
        return {}
    return {**{f"judge_{k}": v for k, v in asdict(meter.usage).items() if v}, "judge_planned": meter.spent_seconds}


def answered(
    candidate: Candidate, models: Mapping[str, Model], items: Sequence[Example], metric: Metric
) -> Iterator[Answered]:
    """Each item with its prediction and its score, or why it has none. Raises TaskError for a score outside the
    metric's range."""
    predictions = list(predict(candidate, models, [example.inputs for example in items]))
    yield from zip(items, predictions, scores(metric, items, predictions), strict=True)


def _row(where: Where, block: int, found: Answered) -> Row:
    (trial, name, split), (example, p, score) = where, found
    value = None if isinstance(score, Failure) else score
    failure = f"{score.kind}: {score.message}" if isinstance(score, Failure) else None
    return Row(trial, name, split, block, example.id, p.answer, value, p.confidence, failure, p.seconds, p.nats)
