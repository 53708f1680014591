"""`tuningfork init FILE`: look at a data file and write the task file for it."""

from __future__ import annotations

from pathlib import Path

import click

from .flags import input_flag, names, target_flag


@click.command(short_help="write a task file for a data file")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it. [default: beside FILE]")
@input_flag
@target_flag
@click.option("--force", is_flag=True, help="Write over a task file that is there.")
def command(file: Path, output: Path | None, inputs: str | None, target: str | None, force: bool) -> None:
    """Look at FILE, say what it seems to be, and write STEM.task.yaml beside it.

    FILE is a table (CSV, TSV, JSONL, Parquet) or a folder with one. Nothing is overwritten unless asked for by --force.
    """
    from ..api import rebased, sniff_task, task_file_of
    from ..data.taskfile import write_task
    from ..errors import TaskError

    path = output or task_file_of(file)
    if path.exists() and not force:
        raise TaskError(
            f"{str(path)!r} is there already. Use it, give another name by --output, or overwrite it by --force."
        )
    task, said = sniff_task(file, inputs=names(inputs), target=target)
    write_task(rebased(task, path.parent), path)
    for sentence in said:
        click.echo(sentence)
    click.echo(f"Wrote {path}. Next: tuningfork check {path}")
