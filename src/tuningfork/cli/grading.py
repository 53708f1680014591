"""`tuningfork review RUN --grade`: a person grades the finalists' answers one by one, without knowing whose they are.

Grades go into `grades.jsonl` in the run's folder, each on disk before the next is asked. An answer that several
candidates gave is asked for once and counts for all of them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..decide.results import Results
    from ..runs import Run

SKIP, QUIT = "s", "q"


def grade_answers(run: Run, seed: int, show_wanted: bool) -> None:
    """Ask for grades, in the range of the run's metric, until all answers have one or the person stops."""
    from ..decide.grades import FILE, add_grade
    from ..decide.results import Results
    from ..stats.intervals import FEW

    results = Results.read(run.log, "test" if run.log.results("test") else "dev")
    todo = list(answers(results, seed))
    low, high = results.scale.low, results.scale.high
    keys = f"{low:g} to {high:g}, {SKIP}: skip, {QUIT}: quit"
    click.echo(
        f"{len(todo)} answers to grade ({len(results.grades)} done). {keys}. From {FEW} items on whose answers all "
        f"have a grade, these correct {results.scale.metric}."
    )
    done = 0
    for number, (item, answer) in enumerate(todo, start=1):
        _show(results.items[item], answer, f"{number}/{len(todo)}", show_wanted)
        said = _said(low, high, keys)
        if said is None:
            break
        if said != SKIP:
            add_grade(run.folder, item, answer, float(said))
            done += 1
    click.echo(f"\n{done} grades kept in {run.folder / FILE}. Next: tuningfork report {run.folder}")


def answers(results: Results, seed: int) -> Iterator[tuple[str, str]]:
    """(item, answer) of the items that all candidates answered, item by item so that whole items are done first; the
    order of items, and of the answers to one, is the seed's. What has a grade is left out."""
    rng = random.Random(f"grade {seed}")
    items = results.shared(list(results.rows))
    for item in rng.sample(items, len(items)):
        said = sorted({rows[item].answer for rows in results.rows.values()})
        for answer in rng.sample(said, len(said)):
            if (item, answer) not in results.grades:
                yield item, answer


def _show(item: Mapping[str, Any], answer: str, count: str, show_wanted: bool) -> None:
    click.echo(f"\n{count}  {item.get('text') or item['id']}")
    if show_wanted and item.get("target") is not None:
        click.echo(f"  wanted: {item['target']}")
    click.echo(f"  answer: {answer}")


def _said(low: float, high: float, keys: str) -> str | None:
    """The next line that is a grade or a skip; None to stop, and at the end of the input."""
    while True:
        click.echo("  grade: ", nl=False)
        line = sys.stdin.readline()
        said = line.strip().lower()
        if not line or said == QUIT:
            return None
        if said == SKIP or _is_grade(said, low, high):
            return said
        click.echo(f"  {keys}?")


def _is_grade(said: str, low: float, high: float) -> bool:
    try:
        return low <= float(said) <= high and isfinite(float(said))
    except ValueError:
        return False
