from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tuningfork.log import Born, Ended, Finalists, Left, Measured, Noted, Started
from tuningfork.log import TestOpened as Opened
from tuningfork.report.live import LiveProgress

STARTED = Started(
    1,
    {},
    (),
    (),
    {},
    {},
    {"trials": [{}, {}]},
    ({"name": "accuracy", "range": [0, 1], "higher_is_better": True},),
    "now",
)


def born(trial: str, stage: Any = "race", family: str = "prompt") -> Born:
    return Born(trial, "c", {}, (), "m", "x", family, {}, stage, 0, 1, 1, 2.0, {}, 0)


def measured(trial: str, value: float, items: int = 16, failed: int = 0, split: Any = "dev") -> Measured:
    return Measured(trial, "c", split, 0, items, failed, value, 1.0, {})


EVENTS = (
    STARTED, born("majority", "race", "baseline"), measured("majority", 0.25),
    born("head@enc"), measured("head@enc", 0.75), born("[b]odd[/b]@x"), measured("[b]odd[/b]@x", 0.5),
    measured("head@enc", 0.25), Left("lora@x", "failed", "out of memory"), Noted("a note"),
    Finalists(("head@enc",), {}), Opened(10, 20, 1), measured("head@enc", 0.7, split="test"),
    Ended(61.0, {}, "finished", "now"),
)  # fmt: skip


def test_a_pipe_gets_a_line_for_each_notable_event() -> None:
    out = io.StringIO()
    times = iter(range(1000))
    with LiveProgress(Console(file=out, width=60), 300, clock=lambda: float(next(times))) as watch:
        for event in EVENTS:
            watch(event)
            watch.doing("something")
    lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert [line.split(":")[0] for line in lines] == [
        "started", "ready", "ready", "First answer after 4.0 s", "ready", "failed", "note", "to the final",
        "the test is opened", "ended",
    ]  # fmt: skip
    assert "head@enc, accuracy 75.0 [" in lines[3]
    assert "[b]odd[/b]@x" in lines[4]
    assert lines[8] == "the test is opened: 10 of 20 items"
    assert "\x1b" not in out.getvalue()


def test_a_terminal_shows_the_standing_with_its_interval_and_the_time_left() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True, color_system=None)
    watch = LiveProgress(console, 300, clock=lambda: 60.0)
    with watch:
        for event in EVENTS[:8]:
            watch(event)
        watch.doing("training [lora]")
    watch._began = 0.0
    plain = io.StringIO()
    Console(file=plain, width=100).print(watch)
    text = plain.getvalue()
    assert "1:00 elapsed, at most 4:00 left: training [lora]" in text
    rows = [line.split() for line in text.splitlines() if "@" in line and "First" not in line]
    assert [row[0] for row in rows] == ["head@enc", "[b]odd[/b]@x"]
    assert rows[0][1] == "50.0"  # the mean of both blocks
    assert rows[0][4] == "32"
    low, high = float(rows[0][2].strip("[,")), float(rows[0][3].strip("]"))
    assert 30 < low < 36 and 64 < high < 70  # Wilson, 16 of 32: 33.6 to 66.4


def test_failed_items_are_not_counted_as_answers() -> None:
    watch = LiveProgress(Console(file=io.StringIO()))
    with watch:
        watch(STARTED)
        watch(measured("a@x", 1.0, items=4, failed=3))
        watch(measured("a@x", float("nan"), items=4, failed=4))
    standing = watch._standings["a@x"]
    assert (standing.items, standing.failed, standing.value) == (1, 7, 1.0)


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError("gone")


class Forsaken(Console):
    def on_broken_pipe(self) -> None:
        """As rich's own, which ends the program, without closing the standard output of these tests."""
        raise SystemExit(1)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_reader_that_went_away_does_not_end_the_race(terminal: bool) -> None:
    watch = LiveProgress(Forsaken(file=Gone(), force_terminal=terminal), 10)
    with watch:
        for event in EVENTS:
            watch(event)


def test_an_error_of_the_race_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt), LiveProgress(Console(file=io.StringIO(), force_terminal=True)):
        raise KeyboardInterrupt


def test_in_folds_the_first_repeat_tells_who_stands_where() -> None:
    out = io.StringIO()
    folded = replace(STARTED, plan={"trials": [{}], "folds": 5})
    with LiveProgress(Console(file=out, width=100), 300, clock=lambda: 2.0) as watch:
        for event in (
            folded,
            born("head@enc", "fold"),
            measured("head@enc", 0.75, split="test"),
            replace(measured("head@enc", 0.25, split="test"), seed=1),
        ):
            watch(event)
    assert "First answer after 0.0 s: head@enc, accuracy 75.0" in out.getvalue() and "16 examples" in out.getvalue()
    shown = io.StringIO()
    Console(file=shown, width=100).print(watch)
    assert "accuracy in folds" in shown.getvalue() and " 16 " in shown.getvalue()


def test_a_race_that_goes_on_has_spent_what_it_had() -> None:
    watch = LiveProgress(Console(file=io.StringIO(), width=100), 300, clock=lambda: 60.0, spent_seconds=120.0)
    shown = io.StringIO()
    with watch:
        Console(file=shown, width=100).print(watch)
    assert "2:00 elapsed, at most 3:00 left" in shown.getvalue()
