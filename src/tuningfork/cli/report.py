"""`tuningfork report RUN`: the verdict and the report again, from the log alone. No model is opened."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .flags import json_flag, quiet_flag, run_argument


@click.command(short_help="write a run's verdict and report again from its log alone")
@run_argument
@json_flag
@quiet_flag
def command(run: str, runs: Path, as_json: bool, quiet: bool) -> None:
    """Recompute the verdict of RUN from its log and write verdict.json and report.html again.

    RUN is a run's folder, or `last` for the newest one. No model is loaded.
    """
    from ..runs import Run, find_run
    from .show import show

    found = Run.load(find_run(run, runs))
    found.write()
    show(found, quiet=quiet)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
