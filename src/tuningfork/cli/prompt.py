"""`tuningfork prompt`: the prompt as the model gets it, what it counts, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .flags import input_flag, json_flag, names, runs_flag, target_flag

if TYPE_CHECKING:
    from ..task import Task
    from .prompt_subject import Subject
    from .prompt_try import Tried
    from .prompt_view import View


@click.command(short_help="the prompt as the model gets it, and what is wrong with it")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--task",
    "task_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="FILE is your own prompt; this is its task.",
)
@click.option("--method", default="zero_shot", show_default=True, metavar="NAME", help="Whose prompt to show.")
@click.option("--model", metavar="NAME", help="Another model than the first of the task that can answer.")
@click.option("--run", metavar="RUN", help="Show a prompt of this run: of the recommended candidate, or of --trial.")
@click.option("--trial", metavar="METHOD@MODEL", help="A candidate of --run by its name on the leaderboard.")
@runs_flag
@input_flag
@target_flag
@click.option("--try", "try_it", is_flag=True, help="Measure what each hint is worth, on hold and train rows.")
@click.option("--seconds", default=60.0, show_default=True, metavar="N", help="How long --try may ask the model.")
@json_flag
def command(
    file: Path | None,
    task_file: Path | None,
    run: str | None,
    trial: str | None,
    runs: Path,
    try_it: bool,
    seconds: float,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show the prompt of a task exactly as the model gets it: through its chat template, with what it takes in tokens
    and what all inputs share. Hints say what is wrong with it and what to do; with --try, what that was worth.

    \b
    tuningfork prompt task.yaml                        the plain prompt
    tuningfork prompt task.yaml --method few_shot      with demonstrations
    tuningfork prompt --run last --trial few_shot@fake what a race chose
    tuningfork prompt our-prompt.yaml --task task.yaml your own
    """
    if (file is None) == (run is None):
        raise click.UsageError("give either FILE or --run RUN.")
    from .prompt_view import look

    subject = _subject(file, task_file, run, trial, runs, flags)
    views = [look(subject, candidate) for candidate in subject.candidates]
    tried = [_tried(subject, view, seconds) if try_it else None for view in views]
    _print(subject, views, tried)
    if as_json:
        prompts = [_plain(view, worth) for view, worth in zip(views, tried, strict=True)]
        click.echo(json.dumps({"name": subject.name, "prompts": prompts}, ensure_ascii=False))


def _subject(
    file: Path | None, task_file: Path | None, run: str | None, trial: str | None, runs: Path, flags: dict[str, Any]
) -> Subject:
    from . import prompt_subject

    if run is not None:
        return prompt_subject.of_run(run, runs, trial)
    if trial is not None:
        raise click.UsageError("--trial names a candidate of a run: add --run RUN.")
    assert file is not None
    task = _task(task_file or file, flags)
    if task_file is not None:
        return prompt_subject.of_file(file, task, flags["model"])
    return prompt_subject.of_method(task, flags["method"], flags["model"])


def _task(path: Path, flags: dict[str, Any]) -> Task:
    from ..api import open_task
    from ..errors import TaskError, UserError

    try:
        return open_task(path, inputs=names(flags["inputs"]), target=flags["target"])[0]
    except UserError as error:
        if (
            path.suffix.lower() in (".yaml", ".yml")
            and path.is_file()
            and "role:" in path.read_text("utf-8", "replace")
        ):
            raise TaskError(f"{path} looks like a prompt, not a task. Name its task: --task task.yaml.") from error
        raise


def _tried(subject: Subject, view: View, seconds: float) -> Tried | None:
    from .prompt_try import try_out

    mended = [hint.mended for hint in view.hints if hint.mended]
    if not mended:
        return None
    return try_out(view.candidate, mended, subject.task, subject.split, subject.metric, subject.models, seconds)


def _print(subject: Subject, views: list[View], tried: list[Tried | None]) -> None:
    from rich.console import Console

    from ..report.words import Scale
    from .prompt_page import print_view

    metric = subject.metric
    scale = Scale(metric.name, *metric.range, metric.higher_is_better)
    for number, (view, worth) in enumerate(zip(views, tried, strict=True), 1):
        name = subject.name if len(views) == 1 else f"{subject.name}, part {number} ({view.candidate.model})"
        print_view(name, view, worth, scale, Console())


def _plain(view: View, tried: Tried | None) -> dict[str, Any]:
    from dataclasses import asdict

    gains = iter(tried.gains if tried else ())
    hints = []
    for hint in view.hints:
        gain = next(gains, None) if hint.mended else None
        worth = {"tried": {**asdict(gain), "value": tried.value}} if gain and tried else {}
        hints.append({"level": hint.level, "about": hint.about, "text": hint.text, **worth})
    return {**view.to_dict(), "hints": hints}
