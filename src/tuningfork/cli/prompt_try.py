"""What a hint is worth: the mended prompt against the present one, on hold and train rows, never on dev or test.

All are asked the same rows, a block at a time, until the rows or the seconds are used up. A failed answer counts as the
worst score, on both sides. The interval is a paired one; several hints tried on the same rows are several looks, so
read them as that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..candidate import Single
from ..metrics import Metric
from ..model import Model
from ..predict import predict
from ..predict.lint import Looked
from ..predict.prompt import plain_input
from ..stats.paired import Difference, difference
from ..task import Example, Split, Task

MOST_ROWS = 64
BLOCK = 8


@dataclass(frozen=True)
class Tried:
    """Score of the present prompt over `n` rows, and the gain of each mended one (above 0: better)."""

    n: int
    value: float
    gains: tuple[Difference, ...]


def try_out(
    present: Single,
    mended: Sequence[Single],
    task: Task,
    split: Split,
    metric: Metric,
    models: Mapping[str, Model],
    seconds: float,
) -> Tried | None:
    """Ask them all the same rows; None where no row is left that none of them shows."""
    shown = {text for one in (present, *mended) for text, _ in Looked(one, task).shown}
    rows = [row for row in (*split.hold, *split.train) if plain_input(row.inputs) not in shown][:MOST_ROWS]
    scores: list[list[float]] = [[] for _ in (present, *mended)]
    begun = time.perf_counter()
    for at in range(0, len(rows), BLOCK):
        if at and time.perf_counter() - begun > seconds:
            break
        for found, candidate in zip(scores, (present, *mended), strict=True):
            found += _scores(candidate, rows[at : at + BLOCK], metric, models)
    if not scores[0]:
        return None
    low, high = metric.range
    sign = 1.0 if metric.higher_is_better else -1.0
    own = [sign * score for score in scores[0]]
    bounds = (low, high) if metric.higher_is_better else (-high, -low)
    gains = tuple(difference([sign * score for score in other], own, bounds=bounds) for other in scores[1:])
    return Tried(len(own), sum(scores[0]) / len(own), gains)


def _scores(candidate: Single, rows: Sequence[Example], metric: Metric, models: Mapping[str, Model]) -> list[float]:
    low, high = metric.range
    worst = low if metric.higher_is_better else high
    said = predict(candidate, models, [row.inputs for row in rows])
    return [worst if p.failure else metric.item(row, p) for row, p in zip(rows, said, strict=True)]
