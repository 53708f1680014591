"""What the log says of every trial beside its answers: how it ended, what it cost, whether it meets the user's limits.

The cost that trials are ordered by is the plan's, where the log has it: it is the same in every repetition of a plan,
and a clock is not. A limit that nothing measured is not judged, and the verdict's scope says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..log import Born, Ended, Finalists, Left, Measured, Probed, RunLog
from .results import Results

LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:|/|$)")


@dataclass(frozen=True)
class Entry:
    """One trial. `cost` orders trials from cheap to dear (seconds or tokens an item); infinite where nothing is known.

    `broken` names the limits that it does not meet and by how much; `unchecked` those that nothing measured.
    """

    trial: str
    method: str
    model: str
    family: str
    settings: Mapping[str, Any]
    status: str
    why: str
    seeds: int
    adapt_seconds: float
    bytes: int
    tokens: Mapping[str, int]
    usd_per_1k: float | None
    probes: Mapping[str, Mapping[str, float]]
    cost: float
    broken: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def latency_ms(self) -> dict[str, float] | None:
        """p50 and p95 of the latency probe; None where it was not measured."""
        values = self.probes.get("latency", {})
        return {"p50": values["p50_ms"], "p95": values["p95_ms"]} if {"p50_ms", "p95_ms"} <= set(values) else None

    @property
    def cheapness(self) -> tuple[float, float, int, str]:
        """What candidates are ordered by, cheapest first: what is paid for an answer, then the plan's cost. No clock
        breaks a tie of that: a method alone comes before a chain of several, then the name decides."""
        return (self.usd_per_1k or 0.0, self.cost, self.method.count("+"), self.trial)


def entries(log: RunLog) -> dict[str, Entry]:
    """Every trial that was started or skipped, in the order of the log."""
    names = dict.fromkeys(e.trial for e in log.events if isinstance(e, Born | Left))
    return {name: _entry(log, name) for name in names}


def contestants(log: RunLog, found: Mapping[str, Entry], results: Results) -> list[str]:
    """Those that the claim is made about: the finalists, or, where the race did not get there, all that were measured
    and neither failed nor were dropped."""
    final = {trial for event in log.of(Finalists) for trial in event.trials}
    able = [e for e in found.values() if e.trial in results.rows and e.status not in ("failed", "skipped")]
    return [e.trial for e in able if (e.trial in final if final else e.status != "dropped")]


def _entry(log: RunLog, trial: str) -> Entry:
    births = [e for e in log.of(Born) if e.trial == trial]
    measured = [e for e in log.of(Measured) if e.trial == trial]
    used: list[Born | Measured] = [*births, *measured]
    born = log.born(trial)
    left = next((e for e in reversed(log.of(Left)) if e.trial == trial), None)
    about = born or left
    status, why = _standing(log, trial, left)
    probes = {e.probe: dict(e.values) for e in log.of(Probed) if e.trial == trial}
    newest = [e for e in measured if e.split == measured[-1].split]
    items, usd = sum(e.items for e in measured), sum(e.usage.get("usd", 0.0) for e in measured)
    usd_per_1k = 1000 * usd / items if usd else None
    broken, unchecked = _limits(log, born, probes, usd_per_1k)
    return Entry(
        trial=trial,
        method=about.method if about else "",
        model=about.model if about else "",
        family=about.family if about else "",
        settings=dict(born.settings) if born else {},
        status=status,
        why=why,
        seeds=_seeds(births, newest),
        adapt_seconds=round(float(sum(e.seconds for e in births if e.stage != "fold" and e.seed == births[0].seed)), 3),
        bytes=born.bytes if born else 0,
        tokens={
            short: round(sum(e.usage.get(f"tokens_{short}", 0) for e in used)) for short in ("in", "out", "reused")
        },
        usd_per_1k=usd_per_1k,
        probes=probes,
        cost=_cost(log, trial, born, newest, probes),
        broken=tuple(broken),
        unchecked=tuple(unchecked),
    )


def _seeds(births: list[Born], newest: list[Measured]) -> int:
    """Under how many seeds it was measured; one that came to the same candidate answered with it."""
    answered = {e.candidate for e in newest}
    final = {e.seed for e in births if e.stage == "final" and e.candidate in answered}
    return len({e.seed for e in newest} | final)


def _standing(log: RunLog, trial: str, left: Left | None) -> tuple[str, str]:
    """Status and why. Who reached the final is a finalist, dropped on dev or not; who broke down there has failed."""
    final = {name: why for event in log.of(Finalists) for name, why in event.why.items()}
    reached = any(trial in event.trials for event in log.of(Finalists))
    if left is not None and (left.status == "failed" or not reached):
        return left.status, left.why
    if reached:
        return "finalist", final.get(trial, "")
    if log.of(Finalists):
        return "paused", "Still in after the race on dev, but the plan had no place for it in the final."
    return "paused", "Still in when the race " + ("ended." if log.of(Ended) else "was stopped.")


def _cost(
    log: RunLog,
    trial: str,
    born: Born | None,
    measured: list[Measured],
    probes: Mapping[str, Mapping[str, float]],
) -> float:
    """The plan's tokens an item; else seconds an item on the planned clock, by the latency probe, by the wall."""
    planned = [t for t in log.started.plan.get("trials", ()) if isinstance(t, Mapping)]
    tokens = {str(t["trial"]): float(t["cost_tokens"]) for t in planned if "cost_tokens" in t}
    if tokens:
        return tokens.get(trial, math.inf)
    kind = born.data.get("type") if born else None
    if kind == "constant":
        return 0.0
    items = sum(e.items for e in measured)
    on_plan = sum(e.usage.get("planned", 0.0) for e in measured)
    if items and on_plan and kind != "function":  # the plan sees no further than our models: not into a user's function
        return on_plan / items
    if "p50_ms" in probes.get("latency", {}):
        return probes["latency"]["p50_ms"] / 1000
    return sum(e.seconds for e in measured) / items if items else math.inf


def _limits(
    log: RunLog, born: Born | None, probes: Mapping[str, Mapping[str, float]], usd_per_1k: float | None
) -> tuple[list[str], list[str]]:
    """The limits of the task that a candidate breaks, and those that can't be told."""
    broken: list[str] = []
    unchecked: list[str] = []
    remote = [name for name in models_in(born.data) if is_remote(log, name)] if born else []
    function = born is not None and born.data.get("type") == "function"
    known = {
        "latency_ms_p95": probes.get("latency", {}).get("p95_ms"),
        "usd_per_1k": usd_per_1k if usd_per_1k is not None else None if remote or function else 0.0,
        "memory_gib": probes.get("memory", {}).get("peak_gib"),
    }
    for name, limit in (log.started.task.get("limits") or {}).items():
        if name == "private":
            if limit and remote:
                broken.append(f"private (it asks {remote[0]})")
            elif limit and function:
                unchecked.append(name)
        elif known.get(name) is None:
            unchecked.append(name)
        elif float(known[name] or 0.0) > float(limit):
            broken.append(f"{name} {float(limit):g} (it takes {float(known[name] or 0.0):.3g})")
    return broken, unchecked


def is_remote(log: RunLog, model: str) -> bool:
    """Whether asking it sends what is asked to another machine: where it is stands in the log, or in its name."""
    about = (log.started.environment.get("models") or {}).get(model) or {}
    url = str(about.get("url") or model)
    return "://" in url and not LOCAL.search(url)


def models_in(data: Any) -> Iterator[str]:
    """Every model that a candidate's data names."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key == "model" and isinstance(value, str):
                yield value
            else:
                yield from models_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from models_in(value)
