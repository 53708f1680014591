"""The run's log: every event comes back as it was written, and what a power loss leaves does no harm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tuningfork.candidate import Constant, Head, Single, identity
from tuningfork.errors import DataError
from tuningfork.log import (
    EVENTS,
    LOG_VERSION,
    Born,
    Ended,
    Event,
    Finalists,
    Left,
    LogWriter,
    Measured,
    Noted,
    Probed,
    Resumed,
    Row,
    Rung,
    RunLog,
    Started,
    Trained,
    Twins,
    born_event,
)
from tuningfork.log import TestOpened as Opened
from tuningfork.store.blobs import Blob

STARTED = Started(
    version=LOG_VERSION,
    task={"name": "tickets", "labels": ["a", "b"], "limits": {}},
    items=({"id": "1", "split": "dev", "target": "a", "group": None, "cluster": None, "text": "é \u2028 🎈"},),
    notes=("A note.",),
    environment={"cores": 2},
    prices={},
    plan={"seconds": 3.0},
    metrics=({"name": "accuracy", "range": [0, 1], "higher_is_better": True},),
    time="2025-01-02T03:04:05+00:00",
)
BORN = born_event(
    "lora@m", Constant("a", ("a", "b")), parents=("abc",), method="lora", model="m", family="tune",
    settings={"rank": 8}, stage="race", seed=1, examples_used=10, examples_chosen_on=4, seconds=1.5,
    usage={"tokens_in": 3, "planned": 0.5},
)  # fmt: skip
MEASURED = Measured("lora@m", BORN.candidate, "dev", 0, 2, 1, 1.0, 0.2, {"tokens_in": 9}, 1)
CURVE = ({"step": 1, "train_nats": 0.5, "hold_nats": None, "seconds": 0.1},)
ALL: tuple[Event, ...] = (
    STARTED,
    Left("x@m", "skipped", "It can't run here.", method="x", model="m"),
    Trained("lora@m", "race", {"rank": 8}, CURVE, "epochs", {"tokens_trained": 5}, {"left_out": 1.0}),
    BORN,
    MEASURED,
    Rung("lora@m", 5, 1, "abc", 0.5, 2, 0.4, {"planned": 0.1}),
    Twins("lora@m", (1, 2), 5, 2, 0.5, -1.0, 1.0, 0.5, 0.8, {"planned": 0.2}),
    Left("y@m", "dropped", "Shown worse.", {"gap": 0.25}, "y", "m", "prompt", "detail", {"planned": 1.0}),
    Finalists(("lora@m",), {"lora@m": "best of family tune"}),
    Noted("Something."),
    Resumed("2025-01-02T03:05:00+00:00"),
    Opened(40, 100, 2),
    Probed("lora@m", BORN.candidate, "latency", {"p50_ms": 1.5}),
    Ended(12.5, {"tokens_in": 12}, "finished", "2025-01-02T03:06:00+00:00", {"asked": 40, "found": 4}),
)
ROWS = [
    Row("lora@m", BORN.candidate, "dev", 0, "1", 'said "this"\n', 1.0, 0.75, None, 0.1, (-0.5, -1.0)),
    Row("lora@m", BORN.candidate, "dev", 0, "2", "", None, None, "scripted: it failed", 0.1),
]


def written(folder: Path, events: tuple[Event, ...] = ALL, rows: list[Row] = ROWS) -> LogWriter:
    writer = LogWriter(folder)
    for event in events:
        if isinstance(event, Measured):
            writer.rows(rows)
        writer.write(event)
    return writer


def test_every_event_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert {event.type for event in ALL} == set(EVENTS)
    written(tmp_path)
    log = RunLog.read(tmp_path)
    assert log.events == ALL and log.started == STARTED
    assert log.rows == tuple(ROWS)
    lines = (tmp_path / "log.jsonl").read_text("ascii").splitlines()
    assert [json.loads(line)["type"] for line in lines] == [event.type for event in ALL]
    assert json.loads(lines[0])["version"] == LOG_VERSION


def test_a_log_from_before_the_cache_of_answers_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    *before, last = (tmp_path / "log.jsonl").read_text("ascii").splitlines()
    ended = json.loads(last)
    del ended["cache"]
    (tmp_path / "log.jsonl").write_text("\n".join([*before, json.dumps(ended)]) + "\n", "ascii")
    assert RunLog.read(tmp_path).of(Ended)[0].cache == {}


def test_item_results_become_one_file_when_the_race_ends(tmp_path: Path) -> None:
    writer = written(tmp_path)
    writer.close()
    assert not (tmp_path / "predictions.jsonl").exists() and (tmp_path / "predictions.parquet").is_file()
    assert RunLog.read(tmp_path).rows == tuple(ROWS)
    before = (tmp_path / "predictions.parquet").read_bytes()
    writer.close()
    assert (tmp_path / "predictions.parquet").read_bytes() == before


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS[1:]])
def test_columns_that_hold_nothing_come_back_too(tmp_path: Path, rows: list[Row]) -> None:
    written(tmp_path, rows=rows).close()
    assert RunLog.read(tmp_path).rows == tuple(rows)


def test_rows_after_the_end_of_an_earlier_journal_are_read_with_it(tmp_path: Path) -> None:
    """As when the power goes between writing the one file and deleting the journal."""
    writer = written(tmp_path)
    journal = (tmp_path / "predictions.jsonl").read_bytes()
    writer.close()
    (tmp_path / "predictions.jsonl").write_bytes(journal)
    assert RunLog.read(tmp_path).rows == tuple(ROWS)


def test_rows_are_there_once_and_only_where_a_measured_event_vouches_for_them(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.write(STARTED)
    writer.write(BORN)
    writer.rows([replace(ROWS[0], answer="before the power went"), ROWS[1]])
    assert RunLog.read(tmp_path).rows == ()
    writer.rows(ROWS)
    writer.write(MEASURED)
    writer.rows([replace(row, block=1, item="3") for row in ROWS])
    assert RunLog.read(tmp_path).rows == tuple(ROWS)
    assert RunLog.read(tmp_path).results("dev") == {"lora@m": {"1": ROWS[0], "2": ROWS[1]}}
    assert RunLog.read(tmp_path).results("test") == {}


def test_results_are_of_the_newest_candidate(tmp_path: Path) -> None:
    writer = written(tmp_path)
    writer.rows([replace(ROWS[0], candidate="newer", block=1)])
    writer.write(replace(MEASURED, candidate="newer", block=1, items=1, failed=0))
    assert [row.candidate for row in RunLog.read(tmp_path).results("dev")["lora@m"].values()] == ["newer"]


@pytest.mark.parametrize("cut", [1, 10, 30, -2])
def test_a_torn_last_line_is_dropped_and_taken_away_by_whoever_goes_on(tmp_path: Path, cut: int) -> None:
    writer = written(tmp_path, ALL[:6])
    for name in ("log.jsonl", "predictions.jsonl"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes() + path.read_bytes().splitlines()[-1][:cut])
    assert RunLog.read(tmp_path).events == ALL[:6] and RunLog.read(tmp_path).rows == tuple(ROWS)
    more = [replace(row, block=1, item=f"{row.item}+") for row in ROWS]
    writer.rows(more)
    for event in (Resumed("now"), replace(MEASURED, block=1), Noted("on")):
        writer.write(event)
    log = RunLog.read(tmp_path)
    assert log.events == (*ALL[:6], Resumed("now"), replace(MEASURED, block=1), Noted("on"))
    assert log.rows == (*ROWS, *more)
    for name in ("log.jsonl", "predictions.jsonl"):
        assert all(json.loads(line) for line in (tmp_path / name).read_bytes().splitlines())


def test_a_whole_last_line_without_its_end_counts(tmp_path: Path) -> None:
    writer = written(tmp_path, ALL[:4])
    path = tmp_path / "log.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert RunLog.read(tmp_path).events == ALL[:4]
    writer.write(Noted("on"))
    assert RunLog.read(tmp_path).events == (*ALL[:4], Noted("on"))


@pytest.mark.parametrize("damage", [b'{"type": "noted", "te', b"\x00\x00\x00", b"[1, 2]", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["log.jsonl", "predictions.jsonl"])
def test_a_damaged_line_is_refused_by_its_number(tmp_path: Path, name: str, damage: bytes) -> None:
    written(tmp_path)
    path = tmp_path / name
    lines = path.read_bytes().splitlines()
    lines[1 if name == "log.jsonl" else 0] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DataError, match=rf"{name}, line {2 if name == 'log.jsonl' else 1}, is damaged"):
        RunLog.read(tmp_path)


def test_a_newer_log_is_refused_also_where_it_has_other_events(tmp_path: Path) -> None:
    data = {"type": "started", "version": LOG_VERSION + 1, "shape": "unknown"}
    (tmp_path / "log.jsonl").write_text(json.dumps(data) + '\n{"type": "danced"}\n')
    with pytest.raises(DataError, match=r"newer tuningfork .* Update"):
        RunLog.read(tmp_path)


def test_keys_that_this_version_does_not_know_are_left_out(tmp_path: Path) -> None:
    written(tmp_path, ALL[:1])
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"type": "noted", "text": "hello", "colour": "red"}\n')
    assert RunLog.read(tmp_path).events[-1] == Noted("hello")


@pytest.mark.parametrize(
    ("line", "said"),
    [('{"type": "danced"}', "unknown event type"), ('{"type": "noted"}', "text"), ('{"text": "x"}', "unknown event")],
)
def test_what_is_no_event_is_refused_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    written(tmp_path, ALL[:2])
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=rf"line 3, is no event that this version knows \(.*{said}"):
        RunLog.read(tmp_path)


@pytest.mark.parametrize("text", ["", '{"type": "noted", "text": "hello"}\n'])
def test_a_log_that_does_not_begin_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError, match="does not begin with a `started` event"):
        RunLog.read(tmp_path)


def test_no_log_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no run in .*log\.jsonl is missing"):
        RunLog.read(tmp_path)


def test_a_candidate_comes_back_with_its_blobs(tmp_path: Path) -> None:
    candidate = Single("m", ("a", "b"), ("a", "b"), head=Head(Blob.of(b"numbers")))
    about: dict[str, Any] = {
        name: getattr(BORN, name) for name in vars(BORN) if name not in ("candidate", "data", "bytes")
    }
    event = born_event(candidate=candidate, **about)
    assert isinstance(event, Born) and event.bytes == 7 and event.candidate == identity(candidate)
    writer = written(tmp_path, ALL[:1])
    writer.keep(candidate)
    writer.write(event)
    log = RunLog.read(tmp_path)
    found = log.born("lora@m", "race")
    assert found is not None and log.born("lora@m", "final") is None and log.born("nobody") is None
    again = log.candidate(found)
    assert again == candidate and isinstance(again, Single) and again.head and again.head.weights.read() == b"numbers"
