"""The main job in Python: `compare` races, a `Run` is what came of it.

    run = tuningfork.compare("task.yaml", budget="light")
    run.verdict                                # what to use, and how sure that is
    run.leaderboard()                          # a DataFrame, a row a trial
    run.recommended.predict(["my card was charged twice"])
    run.recommended.export("out")

The command line calls the same functions. This file only wires rooms together: it opens names (methods, models,
metrics, probes) for the race, which knows none of them, and keeps a run's folder in order. Nothing is computed here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DataError, TaskError, UserError
from .log import Ended, Event, LogWriter, RunLog, TestOpened, wall_seconds
from .runs import Run, runs_of
from .task import Example, Split, Task

if TYPE_CHECKING:
    from .data.check import Finding
    from .data.load import Dataset
    from .method import Method
    from .model import ScoreRequest
    from .race.plan import Plan

Watch = Callable[[Event], None]
TRIED = 20
"""Rows of each file that a metric is tried on before a race."""
Doing = Callable[[str], None]
OnPlan = Callable[["Plan"], None]
QUESTIONS = 8
"""Of the task's own, that a model behind an API must be able to score, or its answers are written."""
TEXT_COMPARED = 1000
"""Characters of a test row by which it is known again in another run's log."""


def compare(
    task: Task | str | Path,
    *,
    budget: str | float | None = None,
    methods: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seed: int | None = None,
    runs: str | Path = "runs",
    resume: str | Path | None = None,
    plan: str | Path | None = None,
    cache: bool = True,
    watch: Watch | None = None,
) -> Run:
    """Race the roads to a good candidate for a task, and decide.

    `task`: a Task, a task file, or a table of examples. `budget`: light, medium, heavy, or seconds. `resume`: the
    folder of a run to go on with; `task` must be the one that it was started with. `plan`: the folder of a run whose
    plan is used again. `cache`: whether what models answered in an earlier race is used again. `watch` is called
    with every event as it is logged. Raises UserError for what the user can mend.
    """
    if resume is not None:
        return resume_race(Path(resume), cache=cache).go(watch=watch)
    if isinstance(task, Task):
        opened = _override(task, budget=budget, methods=methods, models=models, seed=seed)
    else:
        opened, _ = open_task(task, budget=budget, methods=methods, models=models, seed=seed)
    again = None if plan is None else Path(plan)
    return begin(examine(opened), runs=Path(runs), plan=again, cache=cache).go(watch=watch)


def open_task(
    source: str | Path,
    *,
    inputs: Sequence[str] | None = None,
    target: str | None = None,
    write: bool = False,
    **overrides: Any,
) -> tuple[Task, tuple[str, ...]]:
    """A task from its file, or from a table by looking at it; and sentences about what was understood.

    With `write`, what was understood of a table is written beside it as STEM.task.yaml. Where that file is there it is
    used as it is, so that what a user mended in it counts.
    """
    from .data.taskfile import load_task, write_task

    path = Path(source)
    beside = task_file_of(path)
    said: tuple[str, ...] = ()
    if path.suffix.lower() in (".yaml", ".yml"):
        task = _columns(load_task(path), inputs, target)
    elif beside.exists():
        task = _columns(load_task(beside), inputs, target)
        said = (f"Used {beside}, which was there. Delete it to have {path.name} looked at anew.",)
    else:
        task, said = sniff_task(path, inputs=inputs, target=target)
        if write:
            write_task(rebased(task, beside.parent), beside)
            said = (*said, f"Wrote this down in {beside}; change it there if it is not what you meant.")
    return _override(task, **overrides), said


def sniff_task(
    path: Path, *, inputs: Sequence[str] | None = None, target: str | None = None
) -> tuple[Task, tuple[str, ...]]:
    """The task that a table seems to hold, and sentences about what was understood. Named columns are not guessed."""
    from .data.sniff import sniff
    from .metrics import defaults_for

    sniffed = sniff(path, inputs, target, metrics=defaults_for)
    return sniffed.task, sniffed.said


def task_file_of(path: Path) -> Path:
    """Where the task file of a table stands: beside it, by its own name.

    For a folder with a file `train.*` it stands in it; for a data set of the hub, in the working folder.
    """
    from .data.read import HUB

    if str(path).startswith(HUB):
        return Path(f"{path.name.replace(':', '-')}.task.yaml")
    if path.is_dir() and any(path.glob("train.*")):
        return path / f"{path.resolve().name}.task.yaml"
    return path.parent / f"{path.stem}.task.yaml"


def rebased(task: Task, folder: Path) -> Task:
    """The same task for a task file in another folder: its paths start from there."""
    from .data.read import HUB

    def moved(source: str) -> str:
        if source.startswith(HUB) or Path(source).is_absolute():
            return source
        return Path(os.path.relpath(Path(task.folder, source), folder)).as_posix()

    data = task.data
    moved_data = replace(
        data,
        train=moved(data.train),
        test=data.test and moved(data.test),
        unlabelled=data.unlabelled and moved(data.unlabelled),
        documents=data.documents and moved(data.documents),
    )
    return task.with_(data=moved_data, folder=str(folder))


@dataclass(frozen=True)
class Examined:
    """A task whose data was read and looked over. `split` is there when nothing stands in the way of a race."""

    task: Task
    dataset: Dataset
    findings: tuple[Finding, ...]
    split: Split | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stands in the way of a race."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def summary(self) -> list[str]:
        """What the data is, in sentences."""
        if self.split is None:
            return []
        split = self.split
        folded = [f"{len(split.test)} examples in {len(split.folds[0])} folds"] if split.folds else []
        sizes = ", ".join(folded or [f"{len(part)} {name}" for name, part in _parts(split)])
        return [f"{self.task.name} ({self.task.kind}): {sizes}.", *split.notes]


def examine(task: Task) -> Examined:
    """Read the data, look it over, and deal it out where nothing stands in the way. Raises TaskError for a metric that
    does not fit the kind of task."""
    from .data.check import check
    from .data.folds import deal_out
    from .data.load import load
    from .metrics import must_fit, open_metric

    for name in task.metrics:
        must_fit(open_metric(name, task.labels, task.folder), task.kind)
    dataset = load(task)
    findings = (*_metric_faults(task, dataset), *check(task, dataset))
    blocked = any(finding.level == "error" for finding in findings)
    return Examined(task, dataset, findings, None if blocked else deal_out(task, dataset))


@dataclass(frozen=True)
class Prepared:
    """A race that is ready to run: everything opened by name, the folder chosen, no model loaded yet. `spent_seconds`
    is what one that goes on took before."""

    task: Task
    split: Split
    methods: tuple[Method, ...]
    folder: Path
    plan: Plan | None = None
    resume: bool = False
    looks: int = 1
    ended: bool = False
    cache: bool = True
    spent_seconds: float = 0.0

    def go(self, watch: Watch | None = None, doing: Doing | None = None, on_plan: OnPlan | None = None) -> Run:
        """Race to the end, write verdict.json and report.html, and give back the run.

        `watch` is called with every event as it is logged, `doing` with what is going on in between, `on_plan` once
        with the plan, before anything of the budget is spent.
        """
        if self.ended:
            return _written(self.folder, again=False)
        from .data.taskfile import task_to_dict
        from .metrics import open_metric
        from .models import capabilities, open_model
        from .models.cache import open_cache
        from .models.endpoint import Endpoints, is_endpoint
        from .probes import menu as probes
        from .probes import open_probe
        from .race.run import race

        try:
            apis = Endpoints(self.task.prices, _questions(self.task, self.split))
            with open_cache(self.cache) as cache, apis:
                race(
                    self.task,
                    self.split,
                    self.methods,
                    lambda name: apis.open(name) if is_endpoint(name) else open_model(name),
                    self.folder,
                    capabilities={
                        name: apis.open(name).capabilities if is_endpoint(name) else capabilities(name)
                        for name in self.task.models
                    },
                    metrics=[open_metric(name, self.task.labels, self.task.folder) for name in self.task.metrics],
                    task_data=task_to_dict(self.task),
                    probes=[open_probe(name) for name in probes()],
                    watch=watch or _ignore,
                    doing=doing or _ignore,
                    resume=self.resume,
                    plan=self.plan,
                    looks=self.looks,
                    on_plan=on_plan or _ignore,
                    cache=cache,
                )
        except BaseException:
            _leave_nothing_empty(self.folder)
            raise
        return _written(self.folder)


def _written(folder: Path, again: bool = True) -> Run:
    """A run that has ended, with its verdict and report. Where they are not to be written `again`, they still are where
    a stop after the last event has kept them away."""
    LogWriter(folder).close()
    run = Run.load(folder)
    if again or not all((folder / name).exists() for name in ("verdict.json", "report.html")):
        run.write()
    return run


def begin(examined: Examined, *, runs: Path = Path("runs"), plan: Path | None = None, cache: bool = True) -> Prepared:
    """Choose the roads and a folder for a task that was examined, and note what would be advised without a race.

    Raises DataError when its data can't be raced on.
    """
    from .advice import advice
    from .decide.advise import note

    if examined.split is None:
        raise DataError("\n".join(finding.text for finding in examined.errors))
    task = completed(examined)
    task = task.with_(folder=str(Path(task.folder).resolve()))  # a run is gone on with and asked from anywhere
    _keep_private(task)
    split = replace(examined.split, notes=(*examined.split.notes, note(advice(task, examined.split))))
    methods, looks = _methods(task, split), _looks(runs, split)
    folder = _new_folder(runs, task.name)
    again = None if plan is None else _plan_of(plan)
    return Prepared(task, split, methods, folder, again, looks=looks, cache=cache)


def resume_race(folder: Path, *, cache: bool = True) -> Prepared:
    """A race that was stopped, ready to go on. Raises DataError when its data is no longer what it was."""
    from .data.taskfile import task_from_dict

    log = RunLog.read(folder)
    task = task_from_dict(dict(log.started.task), Path(log.started.task.get("folder", ".")))
    examined = examine(task)
    if examined.split is None:
        raise DataError("\n".join(finding.text for finding in examined.errors))
    split = examined.split
    _same_items(log, split)
    looks = max([event.looks for event in log.of(TestOpened)], default=_looks(folder.parent, split, but=folder))
    methods, ended = _methods(task, split), bool(log.of(Ended))
    spent = sum(map(wall_seconds, log.events))
    return Prepared(
        task, split, methods, folder, resume=True, looks=looks, ended=ended, cache=cache, spent_seconds=spent
    )


def _columns(task: Task, inputs: Sequence[str] | None, target: str | None) -> Task:
    """The task with other columns, where flags name some."""
    columns = task.columns
    if inputs:
        columns = replace(columns, input=tuple(inputs))
    if target:
        columns = replace(columns, target=target)
    return task.with_(columns=columns)


def _override(
    task: Task,
    *,
    budget: str | float | None = None,
    methods: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seed: int | None = None,
) -> Task:
    from .data.taskfile import parse_budget

    changes: dict[str, Any] = {}
    if budget is not None:
        changes["budget"] = parse_budget(budget)
    if methods is not None:
        changes["methods"] = () if tuple(methods) == ("auto",) else tuple(methods)
    if models is not None:
        changes["models"] = tuple(models)
    if seed is not None:
        if seed < 0:
            raise TaskError(f"A seed is 0 or more, not {seed}.")
        changes["seed"] = seed
    return task.with_(**changes)


def _methods(task: Task, split: Split) -> tuple[Method, ...]:
    """The roads to race, opened by name, the user's own last."""
    from .methods import auto, open_contender, open_method

    names = task.methods or auto(task, len(split.train))
    return (*(open_method(name) for name in names), *(open_contender(spec, task) for spec in task.contenders))


def _parts(split: Split) -> list[tuple[str, Sequence[Any]]]:
    parts = (("train", split.train), ("hold", split.hold), ("dev", split.dev), ("test", split.test))
    return [(name, part) for name, part in parts if part]


def _new_folder(runs: Path, name: str) -> Path:
    """`runs/<task>-<stamp>`, made here so that no two races take the same one."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = runs / f"{name}-{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise TaskError(f"{str(runs)!r} holds a hundred runs of this second. Give another folder by --runs.")


def completed(examined: Examined) -> Task:
    """The task with what its file may leave to its examples: metrics and labels."""
    from .metrics import defaults_for

    task = examined.task
    metrics = task.metrics or defaults_for(task.kind, examined.dataset.train)
    return task.with_(metrics=metrics, labels=task.labels or examined.dataset.labels)


def _keep_private(task: Task) -> None:
    """Raises TaskError before anything is sent to another machine where the task says that nothing may be."""
    from .models.endpoint import address_of, is_remote

    for name in task.models if task.limits.get("private") else ():
        if is_remote(name):
            raise TaskError(
                f"The task says `private: true`, and {name} would send every input to {address_of(name).host}. Take the"
                " model or the limit out; an address on this machine is private."
            )


def _questions(task: Task, split: Split) -> list[ScoreRequest]:
    """A few of the task's own questions with its labels: a model behind an API scores only if it scores these."""
    from .model import ScoreRequest
    from .predict.prompt import default_template, render, words_of

    template, words = default_template(task), words_of(task.labels)
    few = split.train[:QUESTIONS] if task.kind == "classification" else ()
    return [ScoreRequest(render(template, example.inputs), words) for example in few]


def _metric_faults(task: Task, dataset: Dataset) -> Iterator[Finding]:
    """What a metric finds wrong with targets, or with itself: a few of them are scored as if they were answers."""
    from .candidate import Prediction
    from .data.check import Finding
    from .metrics import Asking, open_metric, scores

    for spec in task.metrics:
        metric = open_metric(spec, task.labels or dataset.labels, task.folder)
        for example in () if isinstance(metric, Asking) else (*dataset.train[:TRIED], *(dataset.test or ())[:TRIED]):
            try:
                scores(metric, [example], [Prediction(example.answer)])
            except UserError as error:
                yield Finding("error", str(error), "metric")
                break


def _plan_of(folder: Path) -> Plan:
    """The plan that an earlier run was raced by."""
    from .race.plan import Plan

    return Plan.from_dict(RunLog.read(folder).started.plan)


def _leave_nothing_empty(folder: Path) -> None:
    """Take the folder away again where a race ended before its first event."""
    if not (folder / "log.jsonl").exists():
        with suppress(OSError):
            folder.rmdir()


def _ignore(_: object) -> None:
    """For whoever does not watch."""


def _looks(runs: Path, split: Split, but: Path | None = None) -> int:
    """The how-manieth look at this test this race takes: one more than the runs under `runs` that opened it before."""
    mine = _known_by(split.test)
    return 1 + sum(_opened_test(folder) == mine for folder in runs_of(runs) if folder != but)


def _same_items(log: RunLog, split: Split) -> None:
    """Raises DataError when the rows that a race compares on are others than when it began."""
    for name, part in (("dev", split.dev), ("test", split.test)):
        if _logged(log.started.items, name) != _known_by(part):
            raise DataError(
                f"The {name} rows have changed since the race in {log.folder} began, so it can't go on. Put the data"
                " back as it was, or start a new race."
            )


def _known_by(examples: Sequence[Example]) -> set[tuple[str, str]]:
    """What examples are known again by in a log."""
    from .data.load import text_of

    return {(text_of(example)[:TEXT_COMPARED], _shown(example.target)) for example in examples}


def _logged(items: Iterable[Mapping[str, Any]], split: str) -> set[tuple[str, str]]:
    """The same of the items of a log."""
    return {(item["text"][:TEXT_COMPARED], _shown(item["target"])) for item in items if item["split"] == split}


def _opened_test(folder: Path) -> set[tuple[str, str]] | None:
    """Texts and targets of the test that a run opened, or None. Of a long log only two lines are looked at."""
    with (folder / "log.jsonl").open(encoding="utf-8", errors="replace") as lines:
        try:
            items = json.loads(next(lines))["items"]
        except (StopIteration, ValueError, KeyError):
            return None
        if not any('"type": "test_opened"' in line for line in lines):
            return None
    return _logged(items, "test")


def _shown(target: Any) -> str:
    """A target in one form, whether it comes from an example or from a log."""
    return str(sorted(target)) if isinstance(target, (frozenset, tuple, list)) else str(target)
