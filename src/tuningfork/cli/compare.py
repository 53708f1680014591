"""`tuningfork compare`: the main job. Looks the data over, says what it will do and what that can cost, races, and says
which road to use.

Ctrl-C stops at once and prints the command that goes on from there; nothing that was finished is done twice. A second
Ctrl-C ends the process without waiting.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .flags import INTERRUPTED, input_flag, json_flag, names, quiet_flag, runs_flag, target_flag

if TYPE_CHECKING:
    from ..race.plan import Plan
    from ..runs import Run

GATE_NOT_MET = 3


@click.command(short_help="race the roads and say which one to use")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--budget", metavar="NAME|SECONDS", help="light, medium, heavy, or a number of seconds.")
@click.option("--methods", metavar="LIST", help="Methods by name, with commas between; chains as few_shot+calibrate.")
@click.option("--models", metavar="LIST", help="Models by name, with commas between.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the split, the order and the training.")
@runs_flag
@input_flag
@target_flag
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped.")
@click.option("--plan", metavar="RUN", help="Use the plan of an earlier run, so that the same work is done again.")
@click.option("--no-cache", is_flag=True, help="Ask models again what they answered in an earlier race.")
@click.option(
    "--fail-under",
    type=float,
    metavar="X",
    help="Exit with 3 when the recommended candidate is worse than X on the metric.",
)
@json_flag
@quiet_flag
def command(
    file: Path | None,
    runs: Path,
    resume: str | None,
    fail_under: float | None,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Race the roads to a good candidate on FILE and say which one to use.

    FILE is a task file (YAML), or a table of examples (CSV, TSV, JSONL, Parquet), which works at once: what was
    understood is said and written beside it as STEM.task.yaml.
    """
    if (file is None) == (resume is None):
        raise click.UsageError("give either FILE or --resume RUN.")
    if resume is not None:
        _refuse_beside_resume(flags)
    started: list[Path] = []
    second_interrupt_ends_at_once()
    try:
        run = _race(file, runs, resume, flags, quiet, started)
    except KeyboardInterrupt:
        _say_how_to_go_on(started)
        raise SystemExit(INTERRUPTED) from None
    from .show import show

    show(run, quiet=quiet)
    if as_json:
        click.echo(json.dumps(run.to_dict()))
    if fail_under is not None:
        _gate(run, fail_under)


def _race(
    file: Path | None, runs: Path, resume: str | None, flags: dict[str, Any], quiet: bool, started: list[Path]
) -> Run:
    from rich.console import Console

    from ..api import begin, examine, open_task, resume_race
    from ..report.text import LiveProgress
    from ..runs import find_run
    from .show import plan_sentence

    say: Callable[[str], None] = (lambda text: None) if quiet else click.echo
    if resume is not None:
        race = resume_race(find_run(resume, runs), cache=not flags["no_cache"])
    else:
        assert file is not None
        task, said = open_task(
            file,
            inputs=names(flags["inputs"]),
            target=flags["target"],
            budget=flags["budget"],
            methods=names(flags["methods"]),
            models=names(flags["models"]),
            seed=flags["seed"],
            write=True,
        )
        examined = examine(task)
        for sentence in (*said, *examined.summary()):
            say(sentence)
        for finding in examined.findings:
            if finding.level != "error":
                say(f"{finding.level}: {finding.text}")
        again = find_run(flags["plan"], runs) if flags["plan"] else None
        race = begin(examined, runs=runs, plan=again, cache=not flags["no_cache"])
    started.append(race.folder)
    if quiet:
        return race.go()
    limit, spent = race.task.budget.seconds, race.spent_seconds
    with LiveProgress(Console(), plan_seconds=limit, spent_seconds=spent) as watch:

        def on_plan(plan: Plan) -> None:
            if limit is None:
                watch.plan_seconds = plan.seconds
            say(plan_sentence(plan))

        return race.go(watch=watch, doing=watch.doing, on_plan=on_plan)


def _refuse_beside_resume(flags: dict[str, Any]) -> None:
    """A race that goes on is the one that was begun: what would make it another is refused, not overlooked."""
    named = {"inputs": "--input"}
    given = [named.get(name, f"--{name}") for name, value in flags.items() if name != "no_cache" and value is not None]
    if given:
        raise click.UsageError(f"--resume goes on with the race as it was begun, so it takes no {', '.join(given)}.")


def second_interrupt_ends_at_once() -> None:
    """The first Ctrl-C raises KeyboardInterrupt, the next one ends the process."""

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)


def _say_how_to_go_on(started: list[Path]) -> None:
    if started and (started[0] / "log.jsonl").is_file():
        how = shlex.join(["tuningfork", "compare", "--resume", str(started[0])])
        click.echo(f"\nStopped. Go on with: {how}", err=True)
    else:
        click.echo("\nStopped before the race began; nothing was spent.", err=True)


def _gate(run: Run, fail_under: float) -> None:
    verdict = run.verdict.to_dict()
    name = (verdict["recommended"] or {}).get("candidate")
    value = run.value(name) if name else None
    if value is None:
        click.echo("Gate not met: the race ended without a candidate to recommend.", err=True)
    elif value < fail_under if verdict["higher_is_better"] else value > fail_under:
        side = "under" if verdict["higher_is_better"] else "over"
        click.echo(f"Gate not met: {verdict['metric']} of {name} is {value:.4g}, {side} {fail_under}.", err=True)
    else:
        return
    raise SystemExit(GATE_NOT_MET)
