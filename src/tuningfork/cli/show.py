"""What verbs put on the screen: a run's verdict, a menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..race.plan import Plan
    from ..runs import Run


def show(run: Run, quiet: bool) -> None:
    """The verdict, and where the report lies; with `quiet` the sentence only."""
    if quiet:
        click.echo(run.verdict.sentence)
    else:
        from rich.console import Console

        from ..report.text import print_verdict

        print_verdict(run.log, run.verdict.to_dict(), Console())
    click.echo(f"Report: {run.folder / 'report.html'}")


def plan_sentence(plan: Plan) -> str:
    """What a race is going to do, and the most that it can cost."""
    cost = "" if plan.usd is None else f" Models behind an API can cost {plan.usd:.2f} USD at most."
    return (
        f"Plan: {len(plan.trials)} trials race on {plan.dev_items} dev items; about {plan.finalists} of them, the best"
        f" of each family always, are then tested on {plan.test_items} test items. At most {plan.seconds:.0f} s, of"
        f" which {plan.final_seconds:.0f} s are kept for the final.{cost}"
    )


def show_menu(title: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line an entry, its columns under each other; the last one is a sentence and may be as long as it likes."""
    widths = [max(len(row[i]) for row in (title, *rows)) for i in range(len(title) - 1)]
    for number, row in enumerate((title, *rows)):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.secho("  ".join([*cells, row[-1]]), bold=not number)
