"""`tuningfork methods`: the menu, a line a method."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .flags import json_flag

if TYPE_CHECKING:
    from ..methods import MethodInfo


@click.command(short_help="the menu of methods")
@json_flag
def command(as_json: bool) -> None:
    """Print the menu of methods: name, family, what it needs of a model, one sentence.

    Methods can be chained with `+`: few_shot+calibrate.
    """
    from ..methods import menu

    entries = menu()
    if as_json:
        rows = [{**asdict(entry), "needs": sorted(entry.needs), "uses": sorted(entry.uses)} for entry in entries]
        click.echo(json.dumps(rows))
        return
    from .show import show_menu

    show_menu(
        ("method", "family", "needs", "what it does"),
        [(entry.name, entry.family, _needs(entry), entry.about) for entry in entries],
    )


def _needs(entry: MethodInfo) -> str:
    """What its own model must be able to do, and what some model of the race must."""
    own = ["others' candidates" if name == "known" else name for name in sorted(entry.needs)]
    others = [f"{name} (any model)" for name in sorted(entry.uses) if name not in entry.needs]
    return ", ".join([*own, *others]) or "no model"
