"""Flags that several verbs share, and arguments.

A flag stands here once, so that `--runs` means the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

INTERRUPTED = 130
"""The exit status after Ctrl-C."""

runs_flag = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder that runs are kept in.",
)
trial_flag = click.option(
    "--trial", metavar="METHOD@MODEL", help="Another one than the recommended, by its name on the leaderboard."
)
json_flag = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON last, for programs.")
quiet_flag = click.option("--quiet", is_flag=True, help="Print the verdict only.")
input_flag = click.option("--input", "inputs", metavar="COLUMN[,COLUMN]", help="Column(s) that the model reads.")
target_flag = click.option("--target", metavar="COLUMN", help="Column that holds the answer.")


def run_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument RUN and the folder that `last` is looked for in."""
    return click.argument("run", metavar="RUN")(runs_flag(function))


def names(value: str | None) -> tuple[str, ...] | None:
    """`a,b` as names; None stays None."""
    if value is None:
        return None
    return tuple(name.strip() for name in re.split(r",(?![^(]*\))", value) if name.strip())
