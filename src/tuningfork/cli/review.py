"""`tuningfork review RUN`: a person rates the answers of two finalists side by side, without knowing whose is whose.

Ratings are appended to `ratings.jsonl` in the run's folder, each on disk before the next is asked, so that stopping
loses nothing and the same command goes on. The report shows what came of them. Grades of single answers, which correct
a judge, are `grading`'s.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .flags import run_argument
from .grading import grade_answers

if TYPE_CHECKING:
    from ..decide.ratings import Choice
    from ..runs import Run

KEYS = {"a": "the first is better", "b": "the second is better", "t": "a tie", "s": "skip", "q": "quit"}


@dataclass(frozen=True)
class Question:
    """One item and two trials' answers to it; `left` stands first."""

    item: str
    text: str
    wanted: str
    left: str
    right: str
    answers: Mapping[str, str]


@click.command(short_help="rate the finalists' answers side by side, blind")
@run_argument
@click.option("--trials", metavar="A,B", help="Two candidates by name. [default: the best and its nearest rival]")
@click.option("--seed", default=0, show_default=True, help="Of the order of items and sides.")
@click.option("--show-wanted", is_flag=True, help="Show what was wanted, too.")
@click.option("--grade", is_flag=True, help="Grade answers one by one, which corrects a judge's grades.")
def command(run: str, runs: Path, trials: str | None, seed: int, show_wanted: bool, grade: bool) -> None:
    """Show two finalists' answers to the same items of RUN, one after the other, and keep what you say.

    Only items on which they answer differently are shown, in an order and on sides that the seed decides. Keys: a, b,
    t (tie), s (skip), q (quit). Without a terminal a line is read for each. The same command goes on where it stopped.

    With --grade each answer of each finalist is shown alone, to be graded in the range of the metric.
    """
    from ..decide.ratings import Rating, add_rating, ratings
    from ..runs import Run, find_run

    if grade and trials:
        raise click.UsageError("--grade asks for the answers of all finalists, so it takes no --trials.")
    found = Run.load(find_run(run, runs))
    if grade:
        grade_answers(found, seed, show_wanted)
        return
    a, b = _pair(found, trials)
    rated = {r.item for r in ratings(found.folder) if (r.a, r.b) == (a, b)}
    todo = [question for question in questions(found, a, b, seed) if question.item not in rated]
    click.echo(f"{len(todo)} items to rate ({len(rated)} done). " + ", ".join(f"{k}: {v}" for k, v in KEYS.items()))
    done = 0
    for number, question in enumerate(todo, start=1):
        _show(question, number, len(todo), show_wanted)
        key = _key()
        if key is None or key == "q":
            break
        choice = _choice(key, question, a)
        add_rating(found.folder, Rating(question.item, a, b, choice, question.left, seed, _now()))
        done += 1
    click.echo(f"\n{done} ratings kept in {found.folder / 'ratings.jsonl'}. Next: tuningfork report {found.folder}")


def questions(run: Run, a: str, b: str, seed: int) -> Iterator[Question]:
    """Items of the test (of dev, where it was not opened) that both answered differently, shuffled by the seed."""
    results = run.log.results("test") if {a, b} <= set(run.log.results("test")) else run.log.results("dev")
    items = {str(item["id"]): item for item in run.log.started.items}
    of = [results.get(trial, {}) for trial in (a, b)]
    both = [i for i in items if all(i in rows and rows[i].score is not None for rows in of)]
    differ = [i for i in both if of[0][i].answer != of[1][i].answer]
    rng = random.Random(f"{seed} {a} {b}")
    rng.shuffle(differ)
    for item in differ:
        left, right = rng.sample([a, b], 2)
        answers = {a: of[0][item].answer, b: of[1][item].answer}
        wanted = items[item].get("target")
        yield Question(item, str(items[item].get("text") or item), _wanted(wanted), left, right, answers)


def _pair(run: Run, trials: str | None) -> tuple[str, str]:
    """The two to compare: those named, else the best and the first that it is compared with."""
    from ..errors import DataError, UnknownName

    board = [str(row["candidate"]) for row in run.verdict.leaderboard]
    if trials:
        named = [name.strip() for name in trials.split(",")]
        unknown = next((name for name in named if name not in board), None)
        if unknown:
            raise UnknownName("trial", unknown, board, str(run.folder))
        if len(set(named)) != 2:
            raise DataError(f"--trials takes two different candidates, not {trials!r}.")
        return named[0], named[1]
    if run.verdict.best is None or not run.verdict.comparisons:
        raise DataError(f"The run {run.folder} has no two candidates to compare: {run.verdict.sentence}")
    nearest: Mapping[str, Any] = run.verdict.comparisons[0]
    return str(nearest["a"]), str(nearest["b"])


def _show(question: Question, number: int, of: int, show_wanted: bool) -> None:
    click.echo(f"\n{number}/{of}  {question.text}")
    if show_wanted and question.wanted:
        click.echo(f"  wanted: {question.wanted}")
    click.echo(f"  a) {question.answers[question.left]}\n  b) {question.answers[question.right]}")


def _key() -> str | None:
    """The next key that means something; None at the end of the input."""
    while True:
        if sys.stdin.isatty():
            said = click.getchar()
        else:
            said = sys.stdin.readline()
            if not said:
                return None
        key = said.strip().lower()[:1]
        if said in ("\x03", "\x04"):
            return "q"
        if key in KEYS:
            return key
        click.echo(f"  {', '.join(KEYS)}?")


def _choice(key: str, question: Question, a: str) -> Choice:
    """What a key says of the trials: sides are turned back."""
    if key == "t":
        return "tie"
    if key == "s":
        return "skip"
    chosen = question.left if key == "a" else question.right
    return "a" if chosen == a else "b"


def _wanted(target: Any) -> str:
    if target is None:
        return ""
    return target if isinstance(target, str) else ", ".join(sorted(map(str, target)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
