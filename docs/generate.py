"""Writes the pages that the code itself knows best: docs/cli.md and docs/menus.md.

`make docs` runs this after a change to a flag or a menu; a test says when it was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

DOCS = Path(__file__).parent
WIDTH = 100


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    return {"cli.md": "\n".join(cli()) + "\n", "menus.md": "\n".join(menus()) + "\n"}


def cli() -> Iterator[str]:
    """Every verb's help, word for word."""
    from tuningfork.cli import VERBS, main

    yield "# The command line"
    yield ""
    yield "`tuningfork`, or `python -m tuningfork`. This page is written by `make docs` from the commands themselves."
    yield ""
    yield "Exit codes: 0 done; 1 a bug of ours (with a traceback); 2 something that you can mend (one paragraph on"
    yield "stderr); 3 a quality gate not met (`--fail-under`); 130 stopped by Ctrl-C."
    yield ""
    yield "RUN is a run's folder, its name under `--runs`, or `last` for the newest one."
    root = click.Context(main, info_name="tuningfork", terminal_width=WIDTH, help_option_names=["-h", "--help"])
    yield from _help("tuningfork", main, root)
    for verb in VERBS:
        command = main.get_command(root, verb)
        assert command is not None
        yield from _help(f"tuningfork {verb}", command, click.Context(command, root, verb, terminal_width=WIDTH))


def _help(title: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield "```text"
    yield from (line.rstrip() for line in command.get_help(context).splitlines())
    yield "```"


def menus() -> Iterator[str]:
    """What can stand under `methods:`, `metric:` and `models:`."""
    from tuningfork import methods, metrics, models, probes
    from tuningfork.models.endpoint import presets

    yield "# The menus"
    yield ""
    yield "What a task file may name. This page is written by `make docs` from the menus themselves;"
    yield "`tuningfork methods` and `tuningfork models` print them with what your installed packages add."
    yield ""
    yield "## Methods"
    yield ""
    yield "Chains are methods too: `few_shot+calibrate`. `methods: auto` picks those that are worth racing."
    yield ""
    yield "| name | family | its model must | some model must | what it does |"
    yield "|---|---|---|---|---|"
    for name in methods.MENU:
        entry = next(entry for entry in methods.menu() if entry.name == name)
        needs, uses = ", ".join(sorted(entry.needs)) or "-", ", ".join(sorted(entry.uses)) or "-"
        yield f"| `{entry.name}` | {entry.family} | {needs} | {uses} | {entry.about} |"
    yield ""
    yield "## Metrics"
    yield ""
    yield "The first one named decides. Where a value is no mean of items (macro F1), the brackets say what a race goes"
    yield "by item by item; the value itself is taken over all of them. Settings stand in brackets,"
    yield "`numeric(tolerance=0.01)`; a function of your own is `module:function` ([how](task-file.md#metrics))."
    yield ""
    yield "| name | for | range | better | what it is |"
    yield "|---|---|---|---|---|"
    for name in metrics.MENU:
        metric = metrics.open_metric(name)
        low, high = metric.range
        better = "higher" if metric.higher_is_better else "lower"
        kinds, by_item = ", ".join(sorted(metrics.kinds_of(metric))), getattr(metric, "races_on", "")
        about = _first_line(metric) + (f" (Item by item: {by_item}.)" if by_item else "")
        yield f"| `{metric.name}` | {kinds} | {low:g} to {high:g} | {better} | {about} |"
    yield ""
    yield "## Models"
    yield ""
    yield "Any Hugging Face id (`org/name`) and any local folder that holds a model open the same way."
    yield ""
    yield "| name | can | what it is |"
    yield "|---|---|---|"
    for known in (*models.BUNDLED, *models.FAKES):
        model = next(entry for entry in models.menu() if entry.id == known)
        yield f"| `{model.id}` | {', '.join(sorted(model.capabilities))} | {model.about} |"
    yield ""
    yield "Models behind an API are named `PRESET:MODEL`, and `PRESET:MODEL@URL` at another address: see"
    yield "[endpoints](endpoints.md)."
    yield ""
    yield "| name | address | variable of its key |"
    yield "|---|---|---|"
    for preset, entry in presets().items():
        yield f"| `{preset}:MODEL` | `{entry['url']}` | `{entry['key']}` |"
    yield ""
    yield "## Probes"
    yield ""
    yield "Measurements beside quality, made on the finalists."
    yield ""
    yield "| name | what it is |"
    yield "|---|---|"
    for name in probes.MENU:
        yield f"| `{name}` | {_first_line(probes.open_probe(name))} |"


def _first_line(thing: object) -> str:
    return (type(thing).__doc__ or "").strip().split("\n")[0]


if __name__ == "__main__":
    for file, text in pages().items():
        (DOCS / file).write_text(text, encoding="utf-8")
        print(f"wrote {DOCS / file}")
