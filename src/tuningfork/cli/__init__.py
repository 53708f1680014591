"""The command `tuningfork`: one file a verb, each loaded only when it is asked for.

`tuningfork --help` loads click and nothing else. A user's mistake (any UserError) prints one paragraph on stderr and
exits with 2; a quality gate that is not met exits with 3; anything else is a bug of ours: traceback, exit 1.
"""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..errors import UnknownName, UserError
from .flags import INTERRUPTED

VERBS = {
    "init": "write a task file for a data file",
    "check": "look a task and its data over, before any model is opened",
    "advise": "a first answer before any race, with its reasons",
    "prompt": "the prompt as the model gets it, and what is wrong with it",
    "compare": "race the roads and say which one to use",
    "report": "write a run's verdict and report again from its log alone",
    "review": "rate the finalists' answers side by side, blind",
    "predict": "let a run's recommended candidate answer new rows",
    "export": "take the recommended candidate out: prompt, adapter, card",
    "models": "the menu of models",
    "methods": "the menu of methods",
    "doctor": "see whether this machine is ready, and what to do where it is not",
}
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class Mistake(click.ClickException):
    """A user's mistake on its way to stderr."""

    exit_code = 2


class Verbs(click.Group):
    """Knows every verb by name and loads one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __name__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            raise Mistake(str(UnknownName("command", name, VERBS)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Mistake(str(error)) from None
        except KeyboardInterrupt:
            click.echo("\nStopped. What was finished is kept; the same command goes on.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except OSError as error:
            if error.errno not in DISK:
                raise
            raise Mistake(
                f"The disk refused to write: {error.strerror}"
                + (f" ({error.filename})" if error.filename else "")
                + ". Free some space or choose another folder, then run the command again; a race goes on with"
                " `tuningfork compare --resume last`."
            ) from None


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="tuningfork %(version)s")
def main() -> None:
    """Prompt the model, or fine-tune it?

    tuningfork races both on your own examples, measures them on the same rows, and says which to use and how sure
    that is.

    \b
    tuningfork compare tickets.csv      works at once on a table of examples
    tuningfork compare task.yaml        the same, as the task file says
    """
