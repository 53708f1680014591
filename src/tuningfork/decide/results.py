"""One split's item results, read with the metric that decides.

A failed item has no score. It is counted and shown, and two candidates are compared on the items that both answered, so
that failing is never a gain. A metric with a `total` (macro F1) is computed again from the answers in the log.

A trial's value is its mean over seeds; intervals cross seeds and items, and know of folds (`stats.crossed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..candidate import Prediction
from ..log import Row, RunLog, SplitName
from ..metrics import total
from ..stats.crossed import Ends, over_folds, over_seeds
from ..stats.intervals import FEW, Interval, mean_interval, total_interval, units_of
from ..stats.paired import Difference, bootstrap_difference, difference
from ..stats.ppi import Corrected, corrected_mean
from ..task import Example, Target
from .grades import Grades, read_grades

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..metrics import Total


FEW_FAILED = 0.05


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
    """What every trial answered on one split, by trial and item, items in the log's order.

    `rows` are those of the first seed, which is the one that is shipped; `again` those of further seeds that answered
    all of the same items. `folds` is 0 where there are none; there, seeds are repeats.
    """

    split: SplitName
    scale: Scale
    items: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, Mapping[str, Row]]
    kind: str
    metric: str
    labels: tuple[str, ...]
    grades: Grades
    again: Mapping[str, Sequence[Mapping[str, Row]]] = field(default_factory=dict)
    folds: int = 0
    _intervals: dict[str, Interval | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, log: RunLog, split: SplitName) -> Results:
        """The results of every trial."""
        items = {str(item["id"]): item for item in log.started.items if item["split"] == split}
        rows: dict[str, Mapping[str, Row]] = {}
        again: dict[str, Sequence[Mapping[str, Row]]] = {}
        for trial, by_seed in log.seeds(split).items():
            first, *more = ({i: found[i] for i in items if i in found} for found in by_seed)
            if first:
                rows[trial] = first
                again[trial] = [other for other in more if other.keys() == first.keys() and _reliable(other)]
        folds = int(log.started.plan.get("folds") or 0) if split == "test" else 0
        task, scale = log.started.task, scale_of(log)
        grades = read_grades(log.folder, scale.low, scale.high)
        spec = str((task.get("metric") or [scale.metric])[0])
        kind, labels = str(task.get("kind", "")), tuple(task.get("labels") or ())
        return cls(split, scale, items, rows, kind, spec, labels, grades, again, folds)

    @cached_property
    def total(self) -> Total | None:
        """The metric, where its value is no mean of items; a function of the user's has none. Raises UnknownName or
        MissingExtra when it is not installed here."""
        from ..metrics import Total, is_function, open_metric

        if is_function(self.metric):
            return None
        metric = open_metric(self.metric, self.labels)
        return metric if isinstance(metric, Total) else None

    def seeds(self, trial: str) -> int:
        """Under how many seeds it answered all items."""
        return 1 + len(self.again.get(trial, ())) if trial in self.rows else 0

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
        """How many items it failed on, under the first seed."""
        return sum(row.score is None for row in self.rows.get(trial, {}).values())

    def answered(self, trial: str) -> list[str]:
        """The items that it did not fail on, under any seed."""
        every = [self.rows.get(trial, {}), *self.again.get(trial, ())]
        return [item for item in every[0] if all(rows[item].score is not None for rows in every)]

    def shared(self, trials: Sequence[str]) -> list[str]:
        """The items that all of these answered."""
        sets = [set(self.answered(trial)) for trial in trials]
        return [item for item in self.items if sets and all(item in found for found in sets)]

    def value(self, trial: str, items: Sequence[str]) -> float:
        """The metric over these items, all of them answered: the mean over seeds."""
        if self.people:
            return self._corrected(trial, items).interval.value
        by_seed = self.by_seed(trial, items)
        return sum(by_seed) / len(by_seed)

    def by_seed(self, trial: str, items: Sequence[str]) -> list[float]:
        """The metric over these items under each seed."""
        if self.total is not None:
            return [total(self.total, *self._pairs(rows, items)) for rows in self._every(trial)]
        return [sum(rows[item].score or 0.0 for item in items) / len(items) for rows in self._every(trial)]

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
        found = (
            self._corrected_difference(better, worse, items) if self.people else self._of_items(better, worse, items)
        )
        span = self.scale.high - self.scale.low
        ends = self._crossed(found.value, Ends(found.low, found.high, found.p), [a, b], items, (-span, span))
        return Difference(found.value, ends.low, ends.high, ends.p, found.n, found.discordance)

    def between_seeds(self, trial: str) -> Difference | None:
        """The first seed's item scores against the second's; None where they are one candidate or there is no
        second."""
        items = self.answered(trial)
        every = self._every(trial)[:2] if items else []
        if len(every) < 2 or every[0] is every[1] or all(every[0][i].answer == every[1][i].answer for i in items):
            return None
        first, second = ([rows[item].score or 0.0 for item in items] for rows in every)
        return difference(first, second, self._clusters(items), bounds=(self.scale.low, self.scale.high))

    def _of_items(self, a: str, b: str, items: Sequence[str]) -> Difference:
        """a minus b as if there were no luck but that of the items."""
        bounds, clusters = (self.scale.low, self.scale.high), self._clusters(items)
        if self.total is None:
            return difference(self._scores(a, items), self._scores(b, items), clusters, bounds=bounds)
        left, right = self._statistic(a, items), self._statistic(b, items)
        return bootstrap_difference(lambda at: left(at) - right(at), len(items), clusters, bounds=bounds)

    def _interval(self, trial: str) -> Interval | None:
        items = self.answered(trial)
        if not items:
            return None
        bounds, clusters = (self.scale.low, self.scale.high), self._clusters(items)
        if self.people:
            found = self._corrected(trial, items).interval
        elif self.total is None:
            found = mean_interval(self._scores(trial, items), clusters, bounds=bounds)
        else:
            found = total_interval(self._statistic(trial, items), len(items), clusters, bounds=bounds)
        ends = self._crossed(found.value, Ends(found.low, found.high, 1.0), [trial], items, bounds)
        return Interval(found.value, ends.low, ends.high, found.n)

    def _crossed(
        self, value: float, ends: Ends, trials: Sequence[str], items: Sequence[str], bounds: tuple[float, float]
    ) -> Ends:
        """The ends, made wide enough for folds or seeds, where there are any."""
        if self.folds:
            return over_folds(value, ends, self.folds, min(map(self.seeds, trials)), bounds)
        if all(self.seeds(trial) == 1 for trial in trials):
            return ends
        units = len(units_of(len(items), self._clusters(items)))
        return over_seeds(value, ends, units, [self.by_seed(trial, items) for trial in trials], bounds)

    def _every(self, trial: str) -> list[Mapping[str, Row]]:
        return [self.rows[trial], *self.again.get(trial, ())]

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
        """Of each item, the mean over seeds."""
        every = self._every(trial)
        return [sum(rows[item].score or 0.0 for rows in every) / len(every) for item in items]

    def _statistic(self, trial: str, items: Sequence[str]) -> Callable[[NDArray[np.intp]], float]:
        """The metric on drawn positions of these items: the mean over seeds."""
        metric = self.total
        assert metric is not None
        every = [self._pairs(rows, items) for rows in self._every(trial)]

        def statistic(at: NDArray[np.intp]) -> float:
            found = [total(metric, [e[i] for i in at], [p[i] for i in at]) for e, p in every]
            return sum(found) / len(found)

        return statistic

    def _clusters(self, items: Sequence[str]) -> list[str | None]:
        return [self.items[item].get("cluster") for item in items]

    def _pairs(self, found: Mapping[str, Row], items: Sequence[str]) -> tuple[list[Example], list[Prediction]]:
        rows = [found[item] for item in items]
        examples = [Example(item, {}, self._target(self.items[item].get("target"))) for item in items]
        return examples, [Prediction(row.answer, row.nats, row.confidence) for row in rows]

    def _target(self, target: Any) -> Target | None:
        if isinstance(target, list | tuple):
            return frozenset(target) if self.kind == "multilabel" else tuple(target)
        return None if target is None else str(target)


def rounded(number: float) -> float:
    """Six places: enough for any reader, and the same on every machine."""
    return round(float(number), 6)


def _reliable(rows: Mapping[str, Row]) -> bool:
    """Whether a further seed answered nearly all items. One that did not would leave the others to be compared on what
    it happened to answer."""
    return sum(row.score is None for row in rows.values()) <= FEW_FAILED * len(rows)
