"""What `predict` says of how far it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tuningfork.cli.progress import Progress
from tuningfork.data.read import Extent, stream_rows


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(terminal: bool = False, **how: Any) -> tuple[Progress, Clock, io.StringIO]:
    clock, file = Clock(), io.StringIO()
    return Progress(Console(file=file, force_terminal=terminal, width=120), clock=clock, **how), clock, file


def test_a_line_every_few_seconds() -> None:
    progress, clock, file = told()
    with progress:
        for block in range(1, 13):
            clock.now += 1.0
            progress.at(block * 100, block, block / 16)
    lines = file.getvalue().splitlines()
    assert lines == [
        "500 rows, 31%, 100 a second, 11 s left, 5 failed",
        "1,000 rows, 62%, 100 a second, 6.0 s left, 10 failed",
    ]


def test_where_the_end_is_not_known() -> None:
    progress, clock, file = told()
    with progress:
        for block in range(1, 4):
            clock.now += 3.0
            progress.at(block * 7, 0, None)
    assert file.getvalue() == "14 rows, 2.3 a second\n"


def test_rows_of_an_earlier_run_are_no_pace() -> None:
    progress, clock, file = told()
    with progress:
        clock.now += 60.0
        progress.at(1_000_000, 0, 0.5)
        clock.now += 10.0
        progress.at(1_000_500, 0, 0.50025)
    assert file.getvalue().splitlines() == [
        "1,000,000 rows, 50%",
        "1,000,500 rows, 50%, 50 a second, 5 h 33 min left",
    ]


def test_quiet() -> None:
    progress, clock, file = told(quiet=True)
    with progress:
        clock.now += 60.0
        progress.at(5, 0, 0.5)
        progress.say("never heard")
    assert file.getvalue() == ""


def test_a_terminal_gets_one_line_that_goes_away() -> None:
    progress, clock, file = told(terminal=True)
    with progress:
        clock.now += 6.0
        progress.at(5, 0, 0.5)
        progress.say("a line that stays")
    shown = file.getvalue()
    assert "\x1b[" in shown and "5 rows, 50%" in shown and "a line that stays" in shown
    assert shown.endswith("\x1b[2K")  # wiped


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("gone")

    for terminal in (False, True):
        progress = Progress(Console(file=Gone(), force_terminal=terminal), clock=Clock())
        with progress:
            progress.at(5, 0, None)
            progress.say("nobody")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_how_far_a_source_is_read(contender: Any, tmp_path: Path, ending: str) -> None:
    rows = [{"text": "x" * 100} for _ in range(2000)]
    path, extent = contender.write(tmp_path / f"in.{ending}", rows), Extent()
    shares = [extent.share(n) or 0.0 for n, _ in enumerate(stream_rows(str(path), extent=extent), start=1)]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert abs(shares[999] - 0.5) < 0.06  # a text file is read some 8 KiB ahead


def test_what_is_read_whole_has_no_share(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('[{"a": 1}, {"a": 2}]')
    extent = Extent()
    assert [extent.share(1) for _ in stream_rows(str(tmp_path / "in.json"), extent=extent)] == [None, None]


def test_what_a_command_says(cli: Callable[..., Any], contender: Any) -> None:
    contender.write(Path("in.jsonl"), [{"text": "a"}, {"text": "b", "more": 1}, {"text": "c break", "more": 2}])
    yours = contender.export(Path("yours"))
    result = cli("predict", yours, "-i", "in.jsonl", "-o", "out.csv")
    first, last = result.stderr.splitlines()
    assert "no column 'more'" in first and ".jsonl or .parquet" in first
    assert last.startswith("3 rows answered by yours:answer in ") and last.endswith("1 of them failed")
    assert cli("predict", yours, "-i", "in.jsonl", "-o", "out.csv", "--quiet").stderr == ""
