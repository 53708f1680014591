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
    """What a race is going to do, the most that it can cost, what it can show, and what can't run in it."""
    trials = f"Plan: {len(plan.trials)} trials"
    if plan.folds:
        what = f"{trials}, each taken through {plan.folds} folds of {plan.test_items} examples."
    else:
        what = (
            f"{trials} race on {plan.dev_items} dev items; about {plan.finalists} of them, the best of each family"
            f" always, are then tested on {plan.test_items} test items, under up to {plan.seeds} seeds where there is"
            " room."
        )
    return " ".join([what, _most(plan), *_shows(plan), *_left_out(plan)])


def _most(plan: Plan) -> str:
    tokens = plan.budget.get("tokens")
    others = "" if tokens is None else f" and {tokens:,.6g} tokens"
    paid = "" if plan.usd is None else f" Models behind an API can cost {plan.usd:.2f} USD at most."
    seconds = plan.budget.get("seconds") or plan.seconds
    return f"At most {seconds:.0f} s{others}, of which {plan.final_seconds:.0f} s are kept for the final.{paid}"


def _shows(plan: Plan) -> list[str]:
    if plan.detectable is None:
        return []
    return [
        f"The smallest difference that this test can show is about {100 * plan.detectable:.1f} points of 100, where two"
        " candidates disagree on a fifth of the items."
    ]


def _left_out(plan: Plan) -> list[str]:
    """How many can't run here, and why, each reason once. The log has them one by one."""
    reasons = list(dict.fromkeys(plan.skipped.values()))
    more = f" And {len(reasons) - 3} other reasons." if len(reasons) > 3 else ""
    return [f"{len(plan.skipped)} can't run here: {' '.join(reasons[:3])}{more}"] if reasons else []


def show_menu(title: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line an entry, its columns under each other; the last one is a sentence and may be as long as it likes."""
    widths = [max(len(row[i]) for row in (title, *rows)) for i in range(len(title) - 1)]
    for number, row in enumerate((title, *rows)):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.secho("  ".join([*cells, row[-1]]), bold=not number)
