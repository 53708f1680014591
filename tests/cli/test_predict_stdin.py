"""`predict` between two programs: what is there is answered, without waiting for more."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuningfork.cli.compare import INTERRUPTED

LONG = 60.0
"""Seconds until an answer that does not come counts as never coming."""


class Talk:
    """A `predict` that runs, its stdin and its stdout."""

    def __init__(self, command: list[str], folder: Path, stdin: int | None = None) -> None:
        given = subprocess.PIPE if stdin is None else stdin
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], LONG)[0], "no answer came"
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def end(self) -> tuple[int, str, str]:
        out, errors = self.process.communicate(timeout=LONG)
        return self.process.returncode, out.decode(), errors.decode()


@pytest.fixture
def talk(contender: Any, tmp_path: Path) -> Iterator[Callable[..., Talk]]:
    contender.export(tmp_path / "yours")
    begun: list[Talk] = []

    def begin(*more: str, stdin: int | None = None) -> Talk:
        begun.append(Talk(contender.command("yours", *more), tmp_path, stdin))
        return begun[-1]

    yield begin
    for each in begun:
        each.process.kill()
        each.process.communicate()


def row(text: str) -> str:
    return json.dumps({"text": text}) + "\n"


def test_one_row_at_a_time(talk: Callable[..., Talk]) -> None:
    it = talk("--quiet")
    for text in ("one", "two", "three"):
        it.say(row(text))
        assert it.hear()["answer"] == text.upper()
    it.say(row("four") + row("five")[:8])  # half a line must not hold up the row before it
    assert it.hear()["answer"] == "FOUR"
    it.say(row("five")[8:] + "\n\n")
    assert it.hear()["answer"] == "FIVE"
    it.say(row("six")[:-1])  # the end of the input ends its last line
    assert it.end() == (0, '{"text": "six", "answer": "SIX", "confidence": ' + it_confidence("six") + "\n", "")


def it_confidence(text: str) -> str:
    import zlib

    return json.dumps(zlib.crc32(text.encode()) / 2**32) + ', "failure": null}'


def test_a_broken_line_comes_after_the_answers_before_it(talk: Callable[..., Talk]) -> None:
    it = talk("--quiet")
    it.say(row("one") + row("two") + '{"text": \n' + row("three"))
    code, out, errors = it.end()
    assert code == 2 and [json.loads(line)["answer"] for line in out.splitlines()] == ["ONE", "TWO"]
    assert "stdin, line 3 is not valid JSON" in errors and "Traceback" not in errors


def test_a_row_without_its_column_too(talk: Callable[..., Talk]) -> None:
    it = talk("--quiet")
    it.say(row("one") + '{"txet": "two"}\n')
    code, out, errors = it.end()
    assert code == 2 and json.loads(out)["answer"] == "ONE" and "row 2" in errors


def test_ctrl_c_while_it_waits(talk: Callable[..., Talk]) -> None:
    it = talk()
    it.say(row("one"))
    it.hear()
    it.process.send_signal(signal.SIGINT)
    code, out, errors = it.end()
    assert code == INTERRUPTED and out == "" and "Stopped after row 1." in errors and "Traceback" not in errors


def test_from_a_file_and_from_nothing(talk: Callable[..., Talk], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(row(str(n)) for n in range(2000)), encoding="utf-8")
    for name, count in (("in.jsonl", 2000), (os.devnull, 0)):
        with (tmp_path / name).open("rb") as file:
            code, out, errors = talk(stdin=file.fileno()).end()
        assert code == 0 and len(out.splitlines()) == count and f"{count:,} rows answered" in errors


def test_from_a_terminal(talk: Callable[..., Talk]) -> None:
    here, there = os.openpty()
    try:
        it = talk("--quiet", stdin=there)
        for text in ("one", "two"):
            os.write(here, row(text).encode())
            assert it.hear()["answer"] == text.upper()
        os.write(here, b"\x04")  # Ctrl-D
        assert it.end() == (0, "", "")
    finally:
        os.close(here)
        os.close(there)


def test_a_reader_that_goes_away(talk: Callable[..., Talk]) -> None:
    it = talk("--quiet")
    it.say(row("one"))
    it.hear()
    assert it.process.stdout is not None
    it.process.stdout.close()
    it.say(row("two"))
    assert it.process.wait(LONG) != 0
    assert it.process.stderr is not None and b"Traceback" not in it.process.stderr.read()


def test_whoever_reads_the_progress_may_go_away(talk: Callable[..., Talk], contender: Any, tmp_path: Path) -> None:
    """The rows go on, all of them."""
    (tmp_path / "in.jsonl").write_text("".join(row(str(n)) for n in range(600)), encoding="utf-8")
    with (tmp_path / "in.jsonl").open("rb") as file:
        it = talk(stdin=file.fileno())
        assert it.process.stderr is not None
        it.process.stderr.close()
        assert it.process.stdout is not None and len(it.process.stdout.readlines()) == 600
    assert it.process.wait(LONG) == 0
