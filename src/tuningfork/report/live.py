"""A race as it runs: what is going on, how long it may still take, and who stands where so far.

`LiveProgress` is fed the log's own events and draws them on a terminal; on a pipe, in a log file or when asked to be
quiet it prints a line for each notable event instead. It only looks: whatever it can't show (a closed terminal, a name
in odd characters, a number that is none) is left out, and the race never hears of it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..log import Born, Ended, Event, Finalists, Left, Measured, Noted, Probed, Resumed, Started, TestOpened
from . import words
from .drawing import GONE, drawn, wiped
from .words import Scale


@dataclass
class Standing:
    """One trial so far: the sum of its scores on dev, or in folds, over `items` that did not fail."""

    trial: str
    total: float = 0.0
    items: int = 0
    failed: int = 0
    state: str = "waiting"
    baseline: bool = False

    @property
    def value(self) -> float:
        return self.total / self.items if self.items else math.nan


@dataclass
class LiveProgress:
    """`with watch: watch(event)` for every event, `watch.doing("training lora")` in between.

    `plan_seconds` is the most that the race may take; None where seconds are no limit. `spent_seconds` is what a race
    that goes on took before. `clock` is for tests.
    """

    console: Console
    plan_seconds: float | None = None
    quiet: bool = False
    clock: Callable[[], float] = time.monotonic
    spent_seconds: float = 0.0
    _standings: dict[str, Standing] = field(default_factory=dict)
    _scale: Scale = field(default_factory=lambda: Scale("score", -math.inf, math.inf, True))
    _folds: bool = False
    _seed: int | None = None
    _now: str = "getting ready"
    _first: str = ""
    _began: float = 0.0
    _live: Live | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closed: bool = False

    def __enter__(self) -> LiveProgress:
        self._began = self.clock() - self.spent_seconds
        if self.console.is_terminal and not self.console.is_dumb_terminal and not self.quiet:
            self._live = drawn(self, self.console)
            self._closed = self._live is None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None and not wiped(live):
            self._closed = True

    def __call__(self, event: Event) -> None:
        """Take an event of the log in."""
        with self._lock:
            line = self._take(event)
        if line and self._live is None:
            self._say(line)

    def doing(self, text: str) -> None:
        """What the race is at now, in a few words."""
        with self._lock:
            self._now = text

    def __rich__(self) -> RenderableType:
        with self._lock:
            parts: list[RenderableType] = [self._head()]
            if self._first:
                parts.append(self._text(self._first))
            if any(s.items or s.failed for s in self._standings.values()):
                parts.append(self._table())
            return Group(*parts)

    # ------------------------------------------------------------------ what an event means

    def _take(self, event: Event) -> str:
        """Bring the picture up to date; returns the line that a pipe gets, empty for what is not notable."""
        match event:
            case Started():
                return self._started(event)
            case Born():
                standing = self._standing(event.trial)
                standing.baseline = event.family == "baseline"
                standing.state = "in the final" if event.stage == "final" else "in the race"
                again = " again, for the final" if event.stage == "final" else ""
                return f"ready{again}: {event.trial}, after {words.seconds(event.seconds)}"
            case Measured():
                return self._measured(event)
            case Left():
                self._standing(event.trial).state = event.status
                return f"{event.status}: {event.trial}: {words.cut(event.why, 40, 240)[0]}"
            case Finalists():
                for trial in event.trials:
                    self._standing(trial).state = "finalist"
                return f"to the final: {', '.join(event.trials)}"
            case TestOpened():
                self._now = "the final: one test on examples that nothing has seen"
                drawn = f" of {event.of:,}" if event.items != event.of else ""
                return f"the test is opened: {event.items:,}{drawn} items"
            case Probed():
                self._now = f"measuring {event.probe} of {event.trial}"
                return ""
            case Noted():
                return f"note: {event.text}"
            case Resumed():
                return "the race goes on where it stopped"
            case Ended():
                return f"ended: {event.why}, {words.seconds(event.seconds)} spent"
        return ""

    def _started(self, event: Started) -> str:
        declared = event.metrics[0] if event.metrics else {}
        low, high = declared.get("range", (-math.inf, math.inf))
        name, higher = str(declared.get("name", "score")), bool(declared.get("higher_is_better", True))
        self._scale = Scale(name, float(low), float(high), higher)
        self._folds = bool(event.plan.get("folds"))
        trials = event.plan.get("trials", ())
        return f"started: {words.count(len(trials), 'trial')} planned" if trials else "started"

    def _measured(self, event: Measured) -> str:
        if event.split == "test":
            self._now = f"testing {event.trial}"
            if not self._judged_by(event):
                return ""
        standing = self._standing(event.trial)
        if standing.state == "waiting":
            standing.state = "in the race"
        answered = event.items - event.failed
        standing.failed += event.failed
        if answered > 0 and math.isfinite(event.value):
            standing.items += answered
            standing.total += event.value * answered
        if self._first or not standing.items or standing.baseline:
            return ""
        self._first = (
            f"First answer after {words.seconds(self.clock() - self._began)}: {event.trial}, {self._scale.metric} "
            f"{self._shown(standing)} on {words.count(standing.items, 'example' if self._folds else 'dev item')}"
        )
        return self._first

    def _judged_by(self, event: Measured) -> bool:
        """Whether test items tell who stands where: in folds, which are all there is. The first repeat alone, so that
        no example counts twice."""
        if self._folds and self._seed is None:
            self._seed = event.seed
        return self._folds and event.seed == self._seed

    def _standing(self, trial: str) -> Standing:
        return self._standings.setdefault(trial, Standing(trial))

    # ------------------------------------------------------------------ how it looks

    def _head(self) -> Text:
        elapsed = self.clock() - self._began
        left = "" if self.plan_seconds is None else f", at most {words.clock(self.plan_seconds - elapsed)} left"
        head = Text(f"{words.clock(elapsed)} elapsed{left}: ", style="bold")
        return head.append_text(self._text(self._now))

    def _table(self) -> Table:
        rows = sorted(self._standings.values(), key=self._order)
        room = max(4, self.console.height - 8)
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("trial", no_wrap=True, overflow="ellipsis")
        unit = ", %" if self._scale.percent else ""
        where = "in folds" if self._folds else "on dev"
        table.add_column(f"{self._scale.metric} {where}{unit} [95%]", no_wrap=True)
        table.add_column("items", justify="right", no_wrap=True)
        table.add_column("now", no_wrap=True)
        for row in rows[:room]:
            out = row.state in ("dropped", "paused", "failed", "skipped")
            cells = (self._text(row.trial), Text(self._shown(row)), Text(str(row.items or "")), Text(row.state))
            table.add_row(*cells, style="dim" if out else "")
        if len(rows) > room:
            table.add_row(Text(f"and {len(rows) - room} more"), "", "", "", style="dim")
        return table

    def _order(self, standing: Standing) -> tuple[bool, bool, float]:
        sign = -1.0 if self._scale.higher_is_better else 1.0
        out = standing.state in ("failed", "skipped")
        return (out, not standing.items, sign * standing.value if standing.items else 0.0)

    def _shown(self, standing: Standing) -> str:
        """The mean so far and its 95% interval.

        Wilson's, on the scores moved to 0..1: right for right-or-wrong scores, and never too narrow for others in a
        known range, whose spread can't be larger than that. A look on the way, not the verdict's own interval.
        """
        if not standing.items:
            return ""
        low, high, value = self._scale.low, self._scale.high, standing.value
        if not (math.isfinite(low) and math.isfinite(high) and low <= value <= high and low < high):
            return self._scale.value(value)
        from ..stats.intervals import wilson

        part = wilson((value - low) / (high - low) * standing.items, standing.items, 0.95)
        ends = {"low": low + part.low * (high - low), "high": low + part.high * (high - low)}
        return self._scale.interval({"value": value, **ends})

    def _text(self, text: str) -> Text:
        """Not read as markup, and in characters that the console can write."""
        return Text(text.encode(self.console.encoding, "replace").decode(self.console.encoding))

    def _say(self, line: str) -> None:
        if self._closed:
            return
        try:
            stamp = words.clock(self.clock() - self._began)
            self.console.print(self._text(f"{stamp} {line}"), soft_wrap=True)
        except GONE:  # such as the `head` of `| head`
            self._closed = True
