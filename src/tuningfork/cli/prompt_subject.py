"""Whose prompt `tuningfork prompt` looks at: a method's, a run's trial, or the user's own file.

A method is given train and nothing to choose on, so that showing a prompt asks no model where it need not: what a race
would choose among several on hold is shown as its first draw. Nothing here has seen a test row
but to look for it in the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..candidate import Candidate, Single, models_of, parts_of
from ..errors import DataError, MethodError, UserError
from ..task import Example, Split, Task

if TYPE_CHECKING:
    from ..method import Method
    from ..metrics import Metric
    from ..model import Model

PLENTY_TOKENS, PLENTY_SECONDS = 10**9, 600.0


@dataclass(frozen=True)
class Subject:
    """What is looked at: the candidates that a name stands for (several where it is made of parts), with their task.
    `kept`: rows that no prompt may hold, by the name of their part."""

    name: str
    candidates: tuple[Single, ...]
    task: Task
    split: Split
    metric: Metric
    models: Mapping[str, Model]
    kept: Mapping[str, Sequence[Example]]


def of_run(run: str, runs: Path, trial: str | None) -> Subject:
    """A trial of a run, the recommended one where none is named. It may show dev rows: in the final they were train."""
    from ..runs import Run, find_run

    found = Run.load(find_run(run, runs))
    chosen = found.trial(trial) if trial else found.recommended
    task, split = _examined(found.task)
    return _subject(chosen.name, chosen.candidate, task, split, {"test": split.test})


def of_method(task: Task, spec: str, model: str | None) -> Subject:
    """What a method makes on a model, before it has chosen anything."""
    from ..methods import open_method

    return _made(open_method(spec), task, model)


def of_file(path: Path, task: Task, model: str | None) -> Subject:
    """The user's own prompt file. Its places must be columns of the task."""
    from ..methods import open_contender

    return _made(open_contender(str(path.resolve()), task), task, model)


def _made(method: Method, task: Task, model: str | None) -> Subject:
    from ..method import Bench, Share, needs_met
    from ..metrics import open_metric
    from ..models import capabilities, open_model
    from ..models.lazy import LazyModels
    from ..race.plan import start

    if "tune" in method.needs:
        raise UserError(
            f"{method.name} tunes weights. Show what a race made of it: tuningfork prompt --run RUN --trial T."
        )
    task, split = _examined(task)
    if model is not None and model not in task.models:
        task = task.with_(models=(model, *task.models))
    can = {name: capabilities(name, task.prices) for name in task.models}

    def reason(name: str) -> str | None:
        return needs_met(method, task.kind, can[name], documents=task.data.documents is not None)

    able = [name for name in ([model] if model else task.models) if reason(name) is None]
    if not method.needs or not able:
        why = reason(model or task.models[0]) or f"{method.name} asks no model."
        raise UserError(f"{why} So there is no prompt to show.")
    bench = Bench(
        task=task,
        train=split.train,
        hold=(),
        models=LazyModels(can, partial(open_model, prices=task.prices)),
        metric=open_metric(task.metric),
        left=lambda: Share(PLENTY_TOKENS, 0, PLENTY_SECONDS),
        seed=task.seed,
        unlabelled=split.unlabelled,
        documents=split.documents,
        capabilities=can,
    )
    try:
        made = method(start(task, able[0], can[able[0]]), bench)
    except MethodError as error:
        raise UserError(str(error)) from None
    return _subject(f"{method.name}@{able[0]}", made, task, split, {"dev": split.dev, "test": split.test})


def _subject(
    name: str, candidate: Candidate, task: Task, split: Split, kept: Mapping[str, Sequence[Example]]
) -> Subject:
    from ..metrics import open_metric
    from ..models import capabilities, open_model
    from ..models.lazy import LazyModels

    asked = tuple(part for part in parts_of(candidate) if isinstance(part, Single))
    if not asked:
        raise UserError(f"{name} asks no model, so there is no prompt to show.")
    can = {model: capabilities(model, task.prices) for model in models_of(candidate)}
    models = LazyModels(can, partial(open_model, prices=task.prices))
    return Subject(name, asked, task, split, open_metric(task.metric), models, kept)


def _examined(task: Task) -> tuple[Task, Split]:
    from ..api import completed, examine

    examined = examine(task)
    if examined.split is None:
        raise DataError("\n".join(finding.text for finding in examined.errors))
    return completed(examined), examined.split
