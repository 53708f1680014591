"""The race, from beginning to end: adapt every trial once, measure them block by block on the same dev items in one
order, choose the finalists, adapt these again with dev joined to train, open the test once, repeat that under further
seeds, probe. Where examples are few, every road is taken fold by fold instead.

Every step asks the log whether it has been done, so a stopped race goes on where it was. What a race must not touch, it
is not given: methods, models and metrics come from outside, and it has never heard of any of them by name.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import DataError, TaskError
from ..log import LOG_VERSION, Ended, Left, LogWriter, Noted, Resumed, RunLog, Started
from ..method import Method
from ..metrics import Asking, Metric
from ..model import Capability, Model, OpenModel
from ..probes import Probe
from ..task import Example, Split, Task, plain_text
from . import plan as plan_
from .adapt import adapt_all
from .aside import kept_aside
from .environment import environment
from .final import choose_finalists, final
from .folds import cross_fit
from .paid import prices_of
from .plan import Plan, Trial
from .rounds import race_on_dev
from .state import Cache, Race, Standing, Watch, need_started, now
from .twins import twins

SHOWN_CHARACTERS = 2000
"""Of an item's text, for the log."""


def race(
    task: Task,
    split: Split,
    methods: Sequence[Method],
    open_model: OpenModel,
    folder: Path,
    *,
    capabilities: Mapping[str, frozenset[Capability]],
    metrics: Sequence[Metric],
    task_data: Mapping[str, Any],
    probes: Sequence[Probe] = (),
    watch: Watch = lambda event: None,
    doing: Callable[[str], None] = lambda text: None,
    resume: bool = False,
    plan: Plan | None = None,
    looks: int = 1,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    cache: Cache | None = None,
) -> RunLog:
    """Race `methods` on the task and return its log. `plan` repeats an earlier one; `looks` counts this opening of the
    test among all of this test file; `cache` stands before the models wherever no time is taken. Raises DataError when
    nothing can run, when a race to resume is of another task, or when the plan is of other models; TaskError when two
    methods have one name."""
    began = time.perf_counter()
    running, skipped = plan_.trials(task, methods, capabilities)
    _check_names(running, skipped)
    bare = _opener(open_model)
    opened = _opener(lambda name: cache.before(bare(name))) if cache else bare
    if resume:
        standing = Standing.resume(folder, watch)
        plan = _priced_now(Plan.from_dict(need_started(standing).plan), bare)
        _check_task(standing, task_data)
        began -= standing.seconds
        standing.write(Resumed(now()))
    else:
        standing = Standing(LogWriter(folder), watch)
        judges = _judges(metrics)
        if plan:
            plan = _again(_priced_now(plan, bare), task, split, running, skipped, judges)
        else:
            plan = plan_.make(task, split, running, skipped, bare, doing, judges)
    on_plan(plan)
    it = Race(task, split, running, metrics, probes, opened, capabilities, plan, standing, doing, began, bare)
    if not resume:
        _start(it, task_data)
    _log_skipped(it, {method.name: method.family for method in methods})
    if split.folds:
        cross_fit(it, looks)
    else:
        _race_once(it, looks)
    _end(it, cache)
    standing.writer.close()
    return RunLog.read(folder)


def _race_once(it: Race, looks: int) -> None:
    """With a dev and a test of its own."""
    if it.standing.finalists is None:
        adapt_all(it)
        twins(it)
        race_on_dev(it)
    final(it, choose_finalists(it), looks)


def _judges(metrics: Sequence[Metric]) -> list[str]:
    """The models that the metric which decides asks."""
    return [metric.model for metric in metrics[:1] if isinstance(metric, Asking)]


def _opener(open_model: OpenModel) -> OpenModel:
    """Each model opened once a race."""
    opened: dict[str, Model] = {}

    def open_once(name: str) -> Model:
        if name not in opened:
            opened[name] = open_model(name)
        return opened[name]

    return open_once


def _check_names(running: Sequence[Trial], skipped: Mapping[str, str]) -> None:
    if not running:
        reasons = " ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        raise DataError(f"No method can run on this task with these models. {reasons}")
    twice = [name for name, count in Counter(trial.name for trial in running).items() if count > 1]
    if twice:
        raise TaskError(
            f"Two roads of this race are both called {twice[0]!r}, and results are kept by name. Name each method and"
            " model once, and give contenders file names of their own."
        )


def _check_task(standing: Standing, task_data: Mapping[str, Any]) -> None:
    before = need_started(standing).task
    changed = sorted(key for key in {*before, *task_data} if _text(before.get(key)) != _text(task_data.get(key)))
    if changed:
        raise DataError(
            f"The task has changed since this race began ({', '.join(changed)}), so it can't go on. Start a new race."
        )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=list)


def _priced_now(plan: Plan, open_model: OpenModel) -> Plan:
    """The plan at the prices that are charged now: what is reserved must be no less."""
    return replace(plan, prices=prices_of({name: open_model(name) for name in plan.prices}))


def _again(
    plan: Plan, task: Task, split: Split, running: Sequence[Trial], skipped: Mapping[str, str], judges: Sequence[str]
) -> Plan:
    """An earlier plan for the trials of this race. Raises DataError when it has no rates for one of their models."""
    unknown = sorted({*judges, *(trial.model for trial in running if trial.model)} - set(plan.rates))
    if unknown:
        raise DataError(
            f"The plan to repeat was made for {' and '.join(plan.rates) or 'no model'}, not for"
            f" {' and '.join(unknown)}. Race the same models, or leave the plan out to make a new one."
        )
    usd = plan.usd if task.budget.usd is None else task.budget.usd
    names = tuple(trial.name for trial in running)
    plan = replace(plan, trials=names, skipped=dict(skipped), usd=usd, probe_usd=0.0)
    return plan_.of_split(plan, split)


def _start(it: Race, task_data: Mapping[str, Any]) -> None:
    items = [_item(e, name) for name, part in (("dev", it.split.dev), ("test", it.split.test)) for e in part]
    models = {name: it.open_bare(name) for name in it.plan.rates if name in it.capabilities}
    measures = tuple(
        {"name": m.name, "range": list(m.range), "higher_is_better": m.higher_is_better} for m in it.metrics
    )
    it.standing.write(
        Started(
            version=LOG_VERSION,
            task=task_data,
            items=tuple(items),
            notes=it.split.notes,
            environment=environment(models),
            prices={name: asdict(price) for name, price in it.plan.prices.items()},
            plan=it.plan.to_dict(),
            metrics=measures,
            time=now(),
        )
    )
    kept = len(kept_aside(it.split.train, it.trials))
    if kept:
        waiting = " and ".join(trial.name for trial in it.trials if trial.waits)
        it.standing.write(
            Noted(f"{kept} train examples were kept from all others until the final: {waiting} chose on them.")
        )
    for name, model in models.items():
        for note in getattr(model, "notes", ()):
            it.standing.write(Noted(f"{name}: {note}"))


def _end(it: Race, cache: Cache | None) -> None:
    for trouble in cache.troubles if cache else ():
        it.standing.write(Noted(trouble))
    seconds, counts = round(time.perf_counter() - it.began, 2), cache.counts if cache else {}
    it.standing.write(Ended(seconds, asdict(it.standing.usage), "finished", now(), counts))


def _log_skipped(it: Race, families: Mapping[str, str]) -> None:
    for name, why in it.plan.skipped.items():
        if name not in it.standing.left:
            method, _, model = name.partition("@")
            it.standing.write(Left(name, "skipped", why, {}, method, model, families.get(method, "")))


def _item(example: Example, split: str) -> dict[str, Any]:
    target = example.target
    return {
        "id": example.id,
        "split": split,
        "target": sorted(target) if isinstance(target, frozenset) else target,
        "group": example.group,
        "cluster": example.cluster,
        "text": "\n".join(plain_text(content) for content in example.inputs.values())[:SHOWN_CHARACTERS],
    }
