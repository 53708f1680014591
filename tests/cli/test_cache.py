"""The cache of answers as a user meets it: on, off, looked at, emptied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tuningfork
from tuningfork import models
from tuningfork.cli import doctor
from tuningfork.log import Ended, RunLog
from tuningfork.models import wheel_index
from tuningfork.models.cache import answers_file
from tuningfork.models.fake import FakeModel

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def _worth_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of one's own, and fakes that are kept in it."""
    real = models.open_model

    def open_model(name: str, *rest: Any) -> Any:
        model = real(name, *rest)
        assert isinstance(model, FakeModel)
        model.cacheable = True
        return model

    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TUNINGFORK_NO_CACHE")
    monkeypatch.setattr(models, "open_model", open_model)


def counts(runs: Path) -> list[tuple[int, int]]:
    """(asked, found) of each run, the oldest first."""
    logs = [RunLog.read(folder) for folder in sorted(runs.iterdir())]
    return [(c.get("asked", 0), c.get("found", 0)) for c in (log.of(Ended)[-1].cache for log in logs)]


@pytest.mark.slow
def test_compare_twice_and_without(cli: Cli, small_task: Path, tmp_path: Path) -> None:
    first = cli("compare", small_task, "--runs", "runs/a")
    again = cli("compare", small_task, "--runs", "runs/b", "--plan", next((tmp_path / "runs" / "a").iterdir()))
    without = cli("compare", small_task, "--runs", "runs/c", "--no-cache")
    assert [r.exit_code for r in (first, again, without)] == [0, 0, 0]
    ((asked, found),) = counts(tmp_path / "runs" / "a")
    assert asked > found and counts(tmp_path / "runs" / "b") == [(asked, asked)]
    assert counts(tmp_path / "runs" / "c") == [(0, 0)]
    assert f"100% of {asked:,} answers had been given before" in again.stdout
    assert "given before" not in without.stdout


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_off_means_no_file(small_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "environment":
        monkeypatch.setenv("TUNINGFORK_NO_CACHE", "1")
    run = tuningfork.compare(
        small_task, runs=tmp_path / "runs", methods=["majority", "zero_shot"], cache=how != "argument"
    )
    assert run.log.of(Ended)[0].cache == {} and not answers_file().exists()


@pytest.mark.slow
def test_resuming_can_do_without_it_too(cli: Cli, small_task: Path, tmp_path: Path) -> None:
    def stop(event: Any) -> None:
        if event.type == "measured":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuningfork.compare(small_task, runs=tmp_path / "runs", watch=stop, cache=False)
    (folder,) = (tmp_path / "runs").iterdir()
    assert cli("compare", "--resume", folder, "--no-cache").exit_code == 0
    assert counts(tmp_path / "runs") == [(0, 0)] and not answers_file().exists()


def test_predicting_keeps_nothing(cli: Cli, small_task: Path, tmp_path: Path) -> None:
    run = tuningfork.compare(small_task, runs=tmp_path / "runs", cache=False)
    run.trial("zero_shot@fake").predict(["where is the archive?"])
    assert not answers_file().exists()


def test_a_setting_that_can_not_be_read(cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNINGFORK_ANSWERS_GIB", "lots")
    result = cli("compare", small_task)
    assert result.exit_code == 2 and "'lots'" in result.stderr and "Traceback" not in result.stderr
    assert list(Path("runs").iterdir()) == [], "no empty run is left"


@pytest.mark.slow
def test_the_doctor_looks_at_it_and_empties_it(
    cli: Cli, small_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel_index, "find_wheel", lambda *_: iter([object()]))
    monkeypatch.setattr(doctor, "_device", lambda: doctor.Look("device", "ok", "not measured here"))

    def look(*flags: str) -> dict[str, str]:
        result = cli("doctor", "--json", *flags)
        assert result.exit_code == 0, result.output
        return next(look for look in json.loads(result.stdout.splitlines()[-1]) if look["what"] == "answers")

    empty = look()
    assert empty["text"].startswith("0 kept, 0 of at most 1024 MiB") and not answers_file().exists()
    tuningfork.compare(small_task, runs=tmp_path / "runs", methods=["majority", "zero_shot"])
    full = look()
    assert not full["text"].startswith("0 kept") and str(answers_file()) in full["text"] and full["state"] == "ok"
    monkeypatch.setenv("TUNINGFORK_NO_CACHE", "1")
    assert "TUNINGFORK_NO_CACHE" in look()["text"]
    assert look("--clear-cache")["text"].startswith("0 kept") and not answers_file().exists()
    answers_file().write_bytes(b"no database" * 500)
    damaged = look()
    assert damaged["state"] == "warning" and "set aside" in damaged["todo"]
