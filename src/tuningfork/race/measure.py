"""One block of items through a candidate: the same `predict` that serves users, metered and logged, an item a row."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ..candidate import Candidate
from ..log import Measured, Row, SplitName, Stage
from ..metrics import Metric, scores
from ..model import Failure, Model, Usage
from ..predict import predict
from ..task import Example
from .meter import Meter, MeteredModels
from .plan import Trial
from .state import Race, Where


def measure(it: Race, trial: Trial, stage: Stage, split: SplitName, block: int, items: Sequence[Example]) -> None:
    """Log what a trial's candidate answers, unless that was done before. A candidate that breaks down has failed."""
    candidate = it.standing.candidate(trial.name, stage)
    where = it.standing.where(trial.name, stage, split)
    if candidate is None or block in it.standing.measured.get(where, set()):
        return
    it.doing(f"{trial.name}: {split} block {block + 1}, {len(items)} items")
    meter, judging = (Meter(it.plan.rates, float("inf"), float("inf")) for _ in range(2))
    models = MeteredModels(tuple(it.capabilities), it.open_model, meter)
    start = time.perf_counter()
    try:
        rows = _rows(it.metric_asking(judging), where, candidate, models, block, items)
    except Exception as error:  # a candidate may hold the user's own function, or a model may break down
        why = f"It broke down on {split}: {type(error).__name__}: {error}"
        it.leave(trial, "failed", why, detail=traceback.format_exc(), usage={**spent(meter, start), **judged(judging)})
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
        seed=it.task.seed,
    )
    it.standing.add_rows(rows, event)


def spent(meter: Meter, start: float) -> dict[str, float]:
    """A meter's usage for the log: also its seconds on the planned clock and, since `start`, on the wall."""
    usage = {**asdict(meter.usage), "seconds": round(meter.usage.seconds, 3)}
    return {**usage, "planned": round(meter.spent_seconds, 6), "wall": round(time.perf_counter() - start, 3)}


def judged(meter: Meter) -> dict[str, float]:
    """What a judge took, for the log: apart from what the candidate did. Nothing where none was asked."""
    if meter.usage == Usage():
        return {}
    return {**{f"judge_{k}": v for k, v in asdict(meter.usage).items() if v}, "judge_planned": meter.spent_seconds}


def _rows(
    metric: Metric,
    where: Where,
    candidate: Candidate,
    models: Mapping[str, Model],
    block: int,
    items: Sequence[Example],
) -> list[Row]:
    trial, name, split = where
    predictions = list(predict(candidate, models, [e.inputs for e in items]))
    rows = []
    for example, p, found in zip(items, predictions, scores(metric, items, predictions), strict=True):
        score = None if isinstance(found, Failure) else found
        failure = f"{found.kind}: {found.message}" if isinstance(found, Failure) else None
        rows.append(
            Row(trial, name, split, block, example.id, p.answer, score, p.confidence, failure, p.seconds, p.nats)
        )
    return rows
