"""A whole race of a large model, prompted, behind an API against small ones, tuned; and that its key is nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuningfork
from tuningfork.errors import TaskError
from tuningfork.log import Noted

KEY = "sk-very-secret-0123456789"


def team(text: str) -> str:
    """What a model answers that is right now and then."""
    if "charge" in text or "invoice" in text:
        return "billing"
    return "I think: bugs." if "error" in text or "crash" in text else "none of my business" if "?" in text else "sales"


@pytest.fixture
def server(fault_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("TUNINGFORK_API_KEY", KEY)
    monkeypatch.setenv("TUNINGFORK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TUNINGFORK_NO_CACHE")
    monkeypatch.setattr("tuningfork.models.endpoint.retry.FIRST_SECONDS", 0.001)
    with fault_server(answer=team, key=KEY, faults=sometimes) as server:
        yield server


def sometimes(ask: Any) -> str | None:
    """A few questions go wrong at first, one for good, and one is refused in words that hold the key."""
    wrong = sum(ask.text.encode()) % 11
    return {0: "rate_limit", 1: "truncated", 2: "server_error"}.get(wrong) if ask.attempt == 0 else None


def raced(make: Any, folder: Path, server: Any, **changes: Any) -> Any:
    name = f"openai:toy@{server.url}"
    about = {
        "models": ["fake", "fake-encoder", name],
        "methods": ["majority", "zero_shot", "few_shot", "lora"],
        "prices": {name: {"in": 0.4, "out": 1.6}},
        "budget": {"seconds": 60, "usd": 0.5},
        **changes,
    }
    return tuningfork.compare(make.task(folder, **about), runs=folder / "runs")


def test_a_large_model_prompted_against_small_ones_tuned(make: Any, server: Any, tmp_path: Path) -> None:
    run = raced(make, tmp_path, server)
    name = f"openai:toy@{server.url}"
    rows = {row["candidate"]: row for row in run.verdict.to_dict()["leaderboard"]}
    assert rows[f"zero_shot@{name}"]["usd_per_1k"] > 0 and rows["lora@fake"]["dev"]["n"] > 0
    assert rows[f"zero_shot@{name}"]["failed_items"] > 0, "answers that name no label are counted"
    assert rows[f"lora@{name}"]["status"] == "skipped"
    assert 0 < run.verdict.to_dict()["budget"]["spent_usd"] <= 0.5
    assert run.log.started.prices[name]["write"] == 1.6
    assert run.log.started.environment["models"][name]["url"] == server.url
    assert any("written and read, not scored" in event.text for event in run.log.of(Noted))
    assert server.most_running > 1 and not any("response_format" in body for body in server.bodies)


def test_the_key_is_in_nothing_that_is_written(make: Any, server: Any, tmp_path: Path, cli: Callable[..., Any]) -> None:
    run = raced(make, tmp_path, server)
    name = f"few_shot@openai:toy@{server.url}"
    run.trial(name).export(tmp_path / "out")
    result = cli("report", run.folder, "--json")
    assert result.exit_code == 0 and (tmp_path / "cache" / "answers.sqlite").exists()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8 and [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in result.output and KEY not in repr(run) and server.headers[0]["authorization"].endswith(KEY)


def test_a_second_race_asks_nothing_again_and_costs_the_same_on_paper(make: Any, server: Any, tmp_path: Path) -> None:
    first = raced(make, tmp_path, server)
    before = server.asked.total()
    again = tuningfork.compare(tmp_path / "task.yaml", runs=tmp_path / "runs", plan=first.folder)
    asked = server.asked.total() - before
    assert asked < before / 2, "the look at opening, the label probes and what takes the time ask again"
    spent = [row["usd_per_1k"] for run in (first, again) for row in run.verdict.to_dict()["leaderboard"]]
    assert spent[: len(spent) // 2] == spent[len(spent) // 2 :]


def test_where_labels_are_single_tokens_they_are_scored(make: Any, server: Any, tmp_path: Path) -> None:
    server.chances = lambda text: {team(text): 0.6, "billing": 0.1, "bugs": 0.08, "sales": 0.07, "the": 0.01}
    run = raced(make, tmp_path, server, methods=["zero_shot", "zero_shot+calibrate"])
    name = f"openai:toy@{server.url}"
    rows = {row["candidate"]: row for row in run.verdict.to_dict()["leaderboard"]}
    assert rows[f"zero_shot@{name}"]["failed_items"] == 0 and rows[f"zero_shot+calibrate@{name}"]["dev"]["n"] > 0
    assert any("likeliest first tokens" in event.text for event in run.log.of(Noted))


def test_predict_asks_by_the_prices_of_the_task(make: Any, server: Any, tmp_path: Path) -> None:
    run = raced(make, tmp_path, server)
    (found,) = run.trial(f"zero_shot@openai:toy@{server.url}").predict(["the invoice is wrong"])
    assert found.answer == "billing" and found.usage.usd > 0


def test_what_is_private_is_not_sent_anywhere(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be sent"))
    path = make.task(tmp_path, models=["fake", "openai:gpt-4.1-mini"], limits={"private": True})
    with pytest.raises(TaskError, match=r"would send every input to api\.openai\.com"):
        tuningfork.compare(path, runs=tmp_path / "runs")


def test_a_server_on_this_machine_is_private_and_free(make: Any, server: Any, tmp_path: Path) -> None:
    run = raced(make, tmp_path, server, limits={"private": True, "usd_per_1k": 0.1}, prices={}, methods=["zero_shot"])
    rows = {row["candidate"]: row for row in run.verdict.to_dict()["leaderboard"]}
    assert rows[f"zero_shot@openai:toy@{server.url}"]["feasible"] and run.log.started.plan["usd"] is None
    assert any("on this machine" in event.text for event in run.log.of(Noted))


def test_a_bad_key_ends_the_race_before_it_begins(
    make: Any, server: Any, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNINGFORK_API_KEY", "sk-wrong-9876543210")
    path = make.task(tmp_path, models=["fake", f"openai:toy@{server.url}"])
    result = cli("compare", path)
    assert result.exit_code == 2 and "refused the key in TUNINGFORK_API_KEY" in result.output
    assert "sk-wrong" not in result.output and "Traceback" not in result.output
    assert not list((tmp_path / "runs").glob("*"))
