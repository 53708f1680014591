"""What several rooms' tests share: a small task on the fake models, a whole race of it, the command line in-process."""

from __future__ import annotations

import csv
import gc
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("all", max_examples=200, deadline=None)
settings.load_profile("quick")  # `make test-all` says --hypothesis-profile=all

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: several threads in each would wait for one another
    os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]
TICKETS = ROOT / "examples" / "tickets"
TEAMS = ("billing", "bugs", "sales")


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not walk through thousands of tests each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks a hub, none reads the answers of earlier races, and none prints in colours that the terminal would
    decide about."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TUNINGFORK_NO_CACHE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def ticket_rows(count: int) -> list[dict[str, str]]:
    """Rows of the shipped task, three teams only, in the order of the file."""
    lines = (TICKETS / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["team"] in TEAMS]
    return [{key: row[key] for key in ("text", "team", "channel")} for row in rows[:count]]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_small_task(folder: Path, **changes: Any) -> Path:
    """tickets.csv and test.csv (120 and 40 rows, 3 teams) and a task.yaml for the fake models; changes are keys of the
    task file."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    rows = ticket_rows(160)
    write_csv(folder / "tickets.csv", rows[:120])
    write_csv(folder / "test.csv", rows[120:])
    task = {
        "name": "small",
        "kind": "classification",
        "data": {"train": "tickets.csv", "test": "test.csv"},
        "columns": {"input": "text", "target": "team", "group": "channel"},
        "instruction": "Which team should handle this message?",
        "models": ["fake", "fake-encoder"],
        "methods": ["majority", "zero_shot", "head", "lora"],
        "budget": {"seconds": 90},
        **changes,
    }
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The helpers above, for tests that want a task or a table of another shape."""
    return SimpleNamespace(task=write_small_task, csv=write_csv, rows=ticket_rows)


@pytest.fixture(scope="session")
def fault_server() -> Any:
    """The class FaultServer of fault_server.py: a server that speaks the OpenAI protocol and goes wrong as it is
    told."""
    spec = importlib.util.spec_from_file_location("fault_server", Path(__file__).with_name("fault_server.py"))
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["fault_server"] = module  # where its dataclasses look their names up
    spec.loader.exec_module(module)
    return module.FaultServer


@pytest.fixture
def small_task(tmp_path: Path) -> Path:
    """A task file of one's own, in tmp_path."""
    return write_small_task(tmp_path)


@pytest.fixture(scope="session")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole race on the fake models, without a test file, so in folds; read it, never write to it."""
    import tuningfork

    folder = tmp_path_factory.mktemp("raced")
    return tuningfork.compare(write_small_task(folder, data={"train": "tickets.csv"}), runs=folder / "runs").folder


@pytest.fixture(scope="session")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `raced`, on a task with a test file of its own."""
    import tuningfork

    folder = tmp_path_factory.mktemp("tested")
    return tuningfork.compare(write_small_task(folder), runs=folder / "runs").folder


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`cli("check", "task.yaml")`: the command in this process, its working folder tmp_path."""
    from click.testing import CliRunner

    from tuningfork.cli import main

    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    yield lambda *arguments, **more: CliRunner().invoke(main, [str(a) for a in arguments], **more)
    signal.signal(signal.SIGINT, before)
