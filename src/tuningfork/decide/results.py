"""One split's item results, read with the metric that decides.

A failed item has no score. It is counted and shown, and two candidates are compared on the items that both answered, so
that failing is never a gain. A metric with a `total` (macro F1) is computed again from the answers in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..candidate import Prediction
from ..log import Row, RunLog, SplitName
from ..metrics import total
from ..stats.intervals import FEW, Interval, mean_interval, total_interval
from ..stats.paired import Difference, bootstrap_difference, difference
from ..stats.ppi import Corrected, corrected_mean
from ..task import Example, Target
from .grades import Grades, read_grades

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..metrics import Total


@dataclass(frozen=True)
class Scale:
    """The metric that decides: its name, its range, and which way is better."""

    metric: str
    low: float
    high: float
    higher_is_better: bool

    @property
    def sign(self) -> float:
        """What a value is multiplied with so that higher is better."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def percent(self) -> bool:
        """Whether values are shares, shown in percent and points."""
        return (self.low, self.high) == (0.0, 1.0)


def scale_of(log: RunLog) -> Scale:
    """The scale of a log's first metric."""
    metric = log.started.metrics[0]
    low, high = metric["range"]
    return Scale(str(metric["name"]), float(low), float(high), bool(metric["higher_is_better"]))


@dataclass(frozen=True)
class Results:
    """What every trial answered on one split, by trial and item, items in the log's order."""

    split: SplitName
    scale: Scale
    items: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, Mapping[str, Row]]
    kind: str
    metric: str
    labels: tuple[str, ...]
    grades: Grades
    _intervals: dict[str, Interval | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, log: RunLog, split: SplitName) -> Results:
        """The newest candidate's results of every trial."""
        items = {str(item["id"]): item for item in log.started.items if item["split"] == split}
        found = log.results(split)
        rows = {trial: {i: by_item[i] for i in items if i in by_item} for trial, by_item in found.items()}
        kept = {trial: by_item for trial, by_item in rows.items() if by_item}
        task, scale = log.started.task, scale_of(log)
        grades = read_grades(log.folder, scale.low, scale.high)
        spec = str((task.get("metric") or [scale.metric])[0])
        return cls(split, scale, items, kept, str(task.get("kind", "")), spec, tuple(task.get("labels") or ()), grades)

    @cached_property
    def total(self) -> Total | None:
        """The metric, where its value is no mean of items; a function of the user's has none. Raises UnknownName or
        MissingExtra when it is not installed here."""
        from ..metrics import Total, is_function, open_metric

        if is_function(self.metric):
            return None
        metric = open_metric(self.metric, self.labels)
        return metric if isinstance(metric, Total) else None

    @cached_property
    def people(self) -> frozenset[str]:
        """The items on which people graded the answers of all trials here; none where these are too few to correct
        by."""
        graded = {
            item for item in self.shared(list(self.rows)) if all(self._grade(t, item) is not None for t in self.rows)
        }
        return frozenset(graded) if len(graded) >= FEW else frozenset()

    @property
    def grading(self) -> str:
        """What people's grades did, as a sentence; empty where there are none."""
        if not self.grades:
            return ""
        if self.people:
            return (
                f"{self.scale.metric} is corrected by people's grades of {len(self.people)} items, so that values are"
                " people's and not the judge's (prediction-powered inference)."
            )
        return (
            f"People's grades are not used: fewer than {FEW} {self.split} items have one for the answers of all"
            " candidates."
        )

    def failed(self, trial: str) -> int:
        """How many items it failed on."""
        return sum(row.score is None for row in self.rows.get(trial, {}).values())

    def answered(self, trial: str) -> list[str]:
        """The items that it did not fail on."""
        return [item for item, row in self.rows.get(trial, {}).items() if row.score is not None]

    def shared(self, trials: Sequence[str]) -> list[str]:
        """The items that all of these answered."""
        sets = [set(self.answered(trial)) for trial in trials]
        return [item for item in self.items if sets and all(item in found for found in sets)]

    def value(self, trial: str, items: Sequence[str]) -> float:
        """The metric over these items, all of them answered."""
        if self.people:
            return self._corrected(trial, items).interval.value
        if self.total is not None:
            return total(self.total, *self._pairs(trial, items))
        return sum(self._scores(trial, items)) / len(items)

    def interval(self, trial: str) -> Interval | None:
        """The metric over all items that it answered; None when there is none."""
        if trial not in self._intervals:
            self._intervals[trial] = self._interval(trial)
        return self._intervals[trial]

    def difference(self, a: str, b: str) -> Difference | None:
        """a against b on the items that both answered, positive when a is better; None when there is none."""
        items = self.shared([a, b])
        if not items:
            return None
        better, worse = (a, b) if self.scale.higher_is_better else (b, a)
        bounds = (self.scale.low, self.scale.high)
        if self.people:
            return self._corrected_difference(better, worse, items)
        if self.total is None:
            left, right = self._scores(better, items), self._scores(worse, items)
            return difference(left, right, self._clusters(items), bounds=bounds)
        metric = self.total
        examples, of_better = self._pairs(better, items)
        _, of_worse = self._pairs(worse, items)

        def statistic(at: NDArray[np.intp]) -> float:
            drawn = [examples[i] for i in at]
            return total(metric, drawn, [of_better[i] for i in at]) - total(metric, drawn, [of_worse[i] for i in at])

        return bootstrap_difference(statistic, len(items), self._clusters(items), bounds=bounds)

    def _interval(self, trial: str) -> Interval | None:
        items = self.answered(trial)
        if not items:
            return None
        bounds = (self.scale.low, self.scale.high)
        if self.people:
            return self._corrected(trial, items).interval
        if self.total is None:
            return mean_interval(self._scores(trial, items), self._clusters(items), bounds=bounds)
        metric = self.total
        examples, predictions = self._pairs(trial, items)

        def statistic(at: NDArray[np.intp]) -> float:
            return total(metric, [examples[i] for i in at], [predictions[i] for i in at])

        return total_interval(statistic, len(items), self._clusters(items), bounds=bounds)

    def _grade(self, trial: str, item: str) -> float | None:
        return self.grades.get((item, self.rows[trial][item].answer))

    def _corrected(self, trial: str, items: Sequence[str], other: str | None = None) -> Corrected:
        """The mean of people's grades of a trial, or of what they are above another's, carried to all items by the
        judge's."""
        judged, bounds = self._scores(trial, items), (self.scale.low, self.scale.high)
        people = [self._grade(trial, item) if item in self.people else None for item in items]
        if other is not None:
            judged = [a - b for a, b in zip(judged, self._scores(other, items), strict=True)]
            theirs = [self._grade(other, item) for item in items]
            people = [None if a is None or b is None else a - b for a, b in zip(people, theirs, strict=True)]
            bounds = (bounds[0] - bounds[1], bounds[1] - bounds[0])
        return corrected_mean(judged, people, bounds=bounds)

    def _corrected_difference(self, better: str, worse: str, items: Sequence[str]) -> Difference:
        found = self._corrected(better, items, worse)
        value, n = found.interval.value, found.interval.n
        p = 1.0 if not found.error and not value else 2 * NormalDist().cdf(-abs(value) / max(found.error, 1e-12))
        return Difference(value, found.interval.low, found.interval.high, p, n, n * found.error**2 + value**2)

    def _scores(self, trial: str, items: Sequence[str]) -> list[float]:
        scores = [self.rows[trial][item].score for item in items]
        return [score for score in scores if score is not None]

    def _clusters(self, items: Sequence[str]) -> list[str | None]:
        return [self.items[item].get("cluster") for item in items]

    def _pairs(self, trial: str, items: Sequence[str]) -> tuple[list[Example], list[Prediction]]:
        rows = [self.rows[trial][item] for item in items]
        examples = [Example(item, {}, self._target(self.items[item].get("target"))) for item in items]
        return examples, [Prediction(row.answer, row.nats, row.confidence) for row in rows]

    def _target(self, target: Any) -> Target | None:
        if isinstance(target, list | tuple):
            return frozenset(target) if self.kind == "multilabel" else tuple(target)
        return None if target is None else str(target)


def rounded(number: float) -> float:
    """Six places: enough for any reader, and the same on every machine."""
    return round(float(number), 6)
