"""`tuningfork advise`: a first answer before any race, with its reasons."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from .flags import input_flag, json_flag, names, target_flag


@click.command(short_help="a first answer before any race, with its reasons")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@input_flag
@target_flag
@click.option("--no-model", is_flag=True, help="Look at the data only; open no model.")
@json_flag
def command(file: Path, inputs: str | None, target: str | None, no_model: bool, as_json: bool) -> None:
    """Say what to try first for FILE (a task file or a table): prompt, fine-tune, or race both.

    It goes by how many examples and classes there are, how even they are, and published numbers; and, where torch is
    installed, by what the largest model says to a bare prompt on a few train items (half a minute). It is a guess:
    `tuningfork compare` measures, and its report says whether the guess was right.
    """
    from ..advice import advice
    from ..api import examine, open_task
    from ..errors import DataError, MissingExtra

    task, said = open_task(file, inputs=names(inputs), target=target)
    examined = examine(task)
    if examined.split is None:
        raise DataError("\n".join(finding.text for finding in examined.errors))
    task = task.with_(labels=task.labels or examined.dataset.labels)
    try:
        found = advice(task, examined.split, ask=not no_model)
    except MissingExtra as missing:
        said = (*said, f"No model was asked: {missing}")
        found = advice(task, examined.split)
    for sentence in said:
        click.echo(sentence)
    click.secho(found.sentence, bold=True)
    for reason in found.reasons:
        click.echo(f"- {reason}")
    click.echo(f"This is a guess before any measurement. Next: tuningfork compare {file}")
    if as_json:
        click.echo(json.dumps(asdict(found)))
