"""`tuningfork check`: what is wrong with a task or its data, told before any model is opened."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .flags import input_flag, json_flag, names, target_flag


@click.command(short_help="look a task and its data over, before any model is opened")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@input_flag
@target_flag
@json_flag
def command(file: Path, inputs: str | None, target: str | None, as_json: bool) -> None:
    """Read FILE (a task file or a table), deal its examples out, and say what was found.

    Exits with 2 when something stands in the way of a race.
    """
    from ..api import examine, open_task

    task, said = open_task(file, inputs=names(inputs), target=target)
    for sentence in said:
        click.echo(sentence)
    examined = examine(task)
    for sentence in examined.summary():
        click.echo(sentence)
    for finding in examined.findings:
        click.secho(f"{finding.level}: ", nl=False, bold=True, fg=COLOURS[finding.level])
        click.echo(finding.text)
    if not examined.findings:
        click.echo("Nothing found that is wrong.")
    if as_json:
        click.echo(json.dumps([{"level": finding.level, "text": finding.text} for finding in examined.findings]))
    if examined.errors:
        raise SystemExit(2)


COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}
