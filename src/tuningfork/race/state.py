"""Where a race stands, read from its own log, so that a killed race goes on and finished work is never repeated.

`Standing` is fed every event and every item result, whether they happen now or were read back from disk; the race asks
it what is done and never keeps a second account. `Race` is the standing with all else that a step of a race needs.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol

from ..candidate import Candidate, from_dict
from ..errors import DataError
from ..log import (
    Born,
    Event,
    Finalists,
    Left,
    LogWriter,
    Measured,
    Noted,
    Probed,
    Row,
    Rung,
    RunLog,
    SplitName,
    Stage,
    Started,
    TestOpened,
    Twins,
    wall_seconds,
)
from ..metrics import Asking, Metric
from ..model import Capability, Model, OpenModel, Usage
from ..probes import Probe
from ..task import Split, Task
from .meter import Meter, Metered
from .plan import FINAL_SHARE, Plan, Trial

Watch = Callable[[Event], None]
Status = Literal["dropped", "paused", "failed", "skipped"]
Where = tuple[str, str, SplitName]
"""Trial, identity of its candidate, split."""
SMALL = 0.01
"""Of the budget: what costs no more is done without asking what is left."""
USAGE = frozenset(f.name for f in fields(Usage))


@dataclass(frozen=True)
class Take:
    """One making of a trial's candidate: for the race, for the final, or without the items of a fold; under a seed."""

    stage: Stage
    seed: int
    fold: int = 0


class Cache(Protocol):
    """Answers that models gave before. What they cost stands in their usage, so a race goes the same with and
    without."""

    def before(self, model: Model) -> Model:
        """The model with the cache before it."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """For the last event: requests `asked`, and how many were `found`."""
        ...

    @property
    def troubles(self) -> Sequence[str]:
        """What the report must say of it."""
        ...


@dataclass
class Standing:
    """The race so far, by trial, candidate and split: two trials may come to the very same candidate.

    `takes` holds every candidate that was born; `born` the first of each stage, which is the one that goes on. `scores`
    holds the metric's item score of each item, None where it failed; `seconds` and `planned` what the race has taken on
    the wall and on the planned clock.
    """

    writer: LogWriter
    watch: Watch
    started: Started | None = None
    born: dict[tuple[str, Stage], Born] = field(default_factory=dict)
    takes: dict[tuple[str, Take], Born] = field(default_factory=dict)
    rungs: dict[str, list[Rung]] = field(default_factory=dict)
    twins: Twins | None = None
    noted: set[str] = field(default_factory=set)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)
    measured: dict[Where, set[int]] = field(default_factory=dict)
    scores: dict[Where, dict[str, float | None]] = field(default_factory=dict)
    probed: set[tuple[str, str, str]] = field(default_factory=set)
    finalists: tuple[str, ...] | None = None
    planned_measuring: dict[Where, float] = field(default_factory=dict)
    usd_measuring: dict[Where, float] = field(default_factory=dict)
    usage: Usage = Usage()
    seconds: float = 0.0
    planned: float = 0.0
    test_items: int | None = None

    @classmethod
    def resume(cls, folder: Path, watch: Watch) -> Standing:
        """The standing of a run's folder. Raises DataError when there is none."""
        log = RunLog.read(folder)
        standing = cls(LogWriter(folder), watch)
        for event in log.events:
            standing._take(event)
        for row in log.rows:
            standing._take_row(row)
        return standing

    def write(self, event: Event) -> None:
        """Log an event, take it in, show it."""
        self.writer.write(event)
        self._take(event)
        self.watch(event)

    def add_born(self, event: Born, candidate: Candidate) -> None:
        """Log a new candidate; its blobs first, so that the log never names what is not there."""
        self.writer.keep(candidate)
        self.candidates[event.candidate] = candidate
        self.write(event)

    def add_rows(self, rows: Iterable[Row], event: Measured) -> None:
        """Log one block's item results, then the event that vouches for them."""
        rows = list(rows)
        self.writer.rows(rows)
        for row in rows:
            self._take_row(row)
        self.write(event)

    def candidate(self, trial: str, take: Stage | Take) -> Candidate | None:
        """The candidate of a take, or of the first take of a stage, if it was born."""
        event = self.takes.get((trial, take)) if isinstance(take, Take) else self.born.get((trial, take))
        if event is None:
            return None
        if event.candidate not in self.candidates:
            self.candidates[event.candidate] = from_dict(event.data, self.writer.blobs.get)
        return self.candidates[event.candidate]

    def identity(self, trial: str, take: Stage | Take) -> str:
        """The identity of a candidate. KeyError when it was not born."""
        return (self.takes[trial, take] if isinstance(take, Take) else self.born[trial, take]).candidate

    def where(self, trial: str, take: Stage | Take, split: SplitName) -> Where:
        """Under which key the results of a candidate stand. KeyError when it was not born."""
        return trial, self.identity(trial, take), split

    def note(self, text: str, usage: Mapping[str, float] | None = None) -> None:
        """Log a sentence for the report, once however often a race goes on."""
        if text not in self.noted:
            self.write(Noted(text, usage or {}))

    def _take(self, event: Event) -> None:
        if isinstance(event, Born | Measured | Rung | Twins | Left | Noted | Probed):
            known: dict[str, Any] = {key: value for key, value in event.usage.items() if key in USAGE}
            judge: dict[str, Any] = {k.removeprefix("judge_"): v for k, v in event.usage.items() if "judge_" in k}
            judge_planned = judge.pop("planned", 0.0)
            self.usage = self.usage + Usage(**known) + Usage(**judge)
            self.planned += event.usage.get("planned", 0.0) + judge_planned
            self.seconds += wall_seconds(event)
        match event:
            case Started():
                self.started = event
                self.usage = self.usage + Usage(usd=event.plan.get("probe_usd", 0.0))
            case Born():
                self.born.setdefault((event.trial, event.stage), event)
                self.takes[event.trial, Take(event.stage, event.seed, event.fold)] = event
            case Left():
                self.left[event.trial] = event
            case Measured():
                key = (event.trial, event.candidate, event.split)
                self.measured.setdefault(key, set()).add(event.block)
                planned = event.usage.get("planned", 0.0) + event.usage.get("judge_planned", 0.0)
                usd = event.usage.get("usd", 0.0) + event.usage.get("judge_usd", 0.0)
                self.planned_measuring[key] = self.planned_measuring.get(key, 0.0) + planned
                self.usd_measuring[key] = self.usd_measuring.get(key, 0.0) + usd
            case Rung():
                self.rungs.setdefault(event.trial, []).append(event)
            case Twins():
                self.twins = event
            case Noted():
                self.noted.add(event.text)
            case Probed():
                self.probed.add((event.trial, event.candidate, event.probe))
            case Finalists():
                self.finalists = event.trials
            case TestOpened():
                self.test_items = event.items
            case _:
                pass

    def _take_row(self, row: Row) -> None:
        self.scores.setdefault((row.trial, row.candidate, row.split), {})[row.item] = row.score


@dataclass
class Race:
    """What every step of a race needs. Who asks for answers takes `open_model`, who takes the time `open_bare`: no
    cache stands before that one."""

    task: Task
    split: Split
    trials: Sequence[Trial]
    metrics: Sequence[Metric]
    probes: Sequence[Probe]
    open_model: OpenModel
    capabilities: Mapping[str, frozenset[Capability]]
    plan: Plan
    standing: Standing
    doing: Callable[[str], None]
    began: float
    open_bare: OpenModel

    @property
    def metric(self) -> Metric:
        """The one that decides."""
        return self.metrics[0]

    def metric_asking(self, meter: Meter) -> Metric:
        """The one that decides; a judge with its model, behind this meter."""
        if not isinstance(self.metric, Asking):
            return self.metric
        model = self.metric.model
        return self.metric.with_model(Metered(self.open_model(model), model, meter))

    @property
    def late(self) -> bool:
        """Whether the wall clock has run into the final's part of the budget; then nothing new is begun but the
        final."""
        return self.spent_share > 1 - FINAL_SHARE / 2

    @property
    def spent_share(self) -> float:
        """How much of the budget's seconds the wall clock has used; 0 where they are not limited."""
        limit = self.task.budget.seconds
        if limit is None:
            return 0.0
        return (time.perf_counter() - self.began) / limit if limit > 0 else math.inf

    @property
    def left_seconds(self) -> float:
        """Of the budget on the wall; infinite where it is not limited."""
        limit = self.task.budget.seconds
        return math.inf if limit is None else limit - (time.perf_counter() - self.began)

    def is_born(self, trial: Trial, take: Stage | Take) -> bool:
        """Whether a trial has come to a candidate in that take, or in any of that stage."""
        if isinstance(take, Take):
            return (trial.name, take) in self.standing.takes
        return (trial.name, take) in self.standing.born

    def is_small(self, planned_seconds: float) -> bool:
        """Whether something costs so little that it is always done."""
        return planned_seconds <= SMALL * self.plan.seconds

    def is_in(self, trial: Trial) -> bool:
        """Whether a trial has not left."""
        return trial.name not in self.standing.left

    def leave(
        self,
        trial: Trial,
        status: Status,
        why: str,
        *,
        evidence: Mapping[str, float] | None = None,
        detail: str = "",
        usage: Mapping[str, float] | None = None,
    ) -> None:
        """Log that a trial goes no further."""
        name, family = trial.method.name, trial.method.family
        self.standing.write(
            Left(trial.name, status, why, evidence or {}, name, trial.model or "", family, detail, usage or {})
        )


def now() -> str:
    """The time of day for the log, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def need_started(standing: Standing) -> Started:
    """The `started` event. Raises DataError when the log has none."""
    if standing.started is None:
        raise DataError(
            f"The log in {standing.writer.folder} has no `started` event, so the race can't go on. Start anew."
        )
    return standing.started
