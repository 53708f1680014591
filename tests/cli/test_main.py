"""The door itself: verbs, mistakes, bugs."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from tuningfork.cli import VERBS, main
from tuningfork.errors import DataError


def test_help_lists_every_verb(cli: Callable[..., Any]) -> None:
    shown = cli("--help").stdout
    assert all(f"  {verb} " in shown and about in shown for verb, about in VERBS.items())


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_says_what_the_verb_says_of_itself(verb: str) -> None:
    import click

    command = main.get_command(click.Context(main), verb)
    assert command is not None and command.get_short_help_str(100).rstrip(".") == VERBS[verb]


def test_an_unknown_verb_is_guessed(cli: Callable[..., Any]) -> None:
    result = cli("compair")
    assert result.exit_code == 2 and "Did you mean 'compare'?" in result.stderr and "Traceback" not in result.stderr


def test_version(cli: Callable[..., Any]) -> None:
    import tuningfork

    assert cli("--version").stdout == f"tuningfork {tuningfork.__version__}\n"


def test_a_mistake_is_one_paragraph_and_exit_2(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuningfork.methods.menu", raiser(DataError("The row 3 lacks a label. Add one.")))
    result = cli("methods")
    assert (result.exit_code, result.stderr) == (2, "Error: The row 3 lacks a label. Add one.\n")


def test_a_full_disk_is_a_mistake(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuningfork.methods.menu", raiser(OSError(errno.ENOSPC, "No space left on device", "runs/x")))
    result = cli("methods")
    assert result.exit_code == 2 and "No space left on device (runs/x)" in result.stderr
    assert "--resume" in result.stderr


def test_a_bug_keeps_its_traceback(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuningfork.methods.menu", raiser(ZeroDivisionError("ours")))
    result = cli("methods")
    assert result.exit_code == 1 and isinstance(result.exception, ZeroDivisionError)


def raiser(error: Exception) -> Callable[[], Any]:
    def menu() -> Any:
        raise error

    return menu
