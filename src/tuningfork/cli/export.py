"""`tuningfork export RUN DIR`: the candidate, to be used without tuningfork."""

from __future__ import annotations

from pathlib import Path

import click

from .flags import run_argument, trial_flag


@click.command(short_help="take the recommended candidate out: prompt, adapter, card")
@run_argument
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@trial_flag
def command(run: str, runs: Path, folder: Path, trial: str | None) -> None:
    """Write the recommended candidate of RUN to DIR.

    Its prompt as chat messages, its adapter in the PEFT layout, and a card saying how it was measured.
    """
    from ..runs import Run, find_run

    found = Run.load(find_run(run, runs))
    chosen = found.trial(trial) if trial else found.recommended
    for path in chosen.export(folder):
        click.echo(str(path))
