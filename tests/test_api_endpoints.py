"""A whole race of a large model, prompted, behind an API against small ones, tuned; and that its key is nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuningfork
from tuningfork.errors import TaskError
from tuningfork.log import Ended, Noted

KEY = "sk-very-secret-0123456789"


def team(text: str) -> str:
    """What a model answers that is right now and then."""
    if "charge" in text or "invoice" in text:
        return "billing"
    return "I think: bugs." if "error" in text or "crash" in text else "none of my business" if "?" in text else "sales"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endpoints")


@pytest.fixture(scope="module")
def server(fault_server: Any, place: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TUNINGFORK_API_KEY", KEY)
        monkeypatch.setenv("TUNINGFORK_CONFIG", str(place / "config"))
        monkeypatch.setenv("TUNINGFORK_CACHE", str(place / "cache"))
        monkeypatch.setattr("tuningfork.models.endpoint.retry.FIRST_SECONDS", 0.001)
        with fault_server(answer=team, key=KEY, faults=sometimes) as server:
            yield server


@pytest.fixture(autouse=True)
def _with_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNINGFORK_NO_CACHE")


@pytest.fixture(scope="module")
def run(make: Any, server: Any, place: Path) -> Any:
    """One race that several tests look at; it fills the cache."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("TUNINGFORK_NO_CACHE", raising=False)
        return raced(make, place, server)


def sometimes(ask: Any) -> str | None:
    """A few questions go wrong at first."""
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


def test_a_large_model_prompted_against_small_ones_tuned(run: Any, server: Any) -> None:
    name = f"openai:toy@{server.url}"
    rows = {row["candidate"]: row for row in run.verdict.to_dict()["leaderboard"]}
    assert rows[f"zero_shot@{name}"]["usd_per_1k"] > 0 and rows["lora@fake"]["test"]["n"] > 0
    assert rows[f"zero_shot@{name}"]["failed_items"] > 0, "answers that name no label are counted"
    assert rows[f"lora@{name}"]["status"] == "skipped"
    assert 0 < run.verdict.to_dict()["budget"]["spent_usd"] <= 0.5
    assert run.log.started.prices[name]["write"] == 1.6
    assert run.log.started.environment["models"][name]["url"] == server.url
    assert any("written and read, not scored" in event.text for event in run.log.of(Noted))
    assert server.most_running > 1 and not any("response_format" in body for body in server.bodies)


def test_the_key_is_in_nothing_that_is_written(run: Any, server: Any, place: Path, cli: Callable[..., Any]) -> None:
    run.trial(f"few_shot@openai:toy@{server.url}").export(place / "out")
    result = cli("report", run.folder, "--json")
    assert result.exit_code == 0 and (place / "cache" / "answers.sqlite").exists()
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) > 8 and [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in result.output and KEY not in repr(run) and server.headers[0]["authorization"].endswith(KEY)


@pytest.mark.slow
def test_a_second_race_asks_little_again_and_costs_the_same_on_paper(run: Any, server: Any, place: Path) -> None:
    server.asked.clear()
    again = tuningfork.compare(place / "task.yaml", runs=place / "runs", plan=run.folder)
    found = again.log.of(Ended)[0].cache
    assert found["found"] == found["asked"] > server.asked.total(), "only the look at opening and what takes the time"
    costs = [{row["candidate"]: row["usd_per_1k"] for row in r.verdict.to_dict()["leaderboard"]} for r in (run, again)]
    assert costs[0] == costs[1]


def test_predict_asks_by_the_prices_of_the_task(run: Any, server: Any) -> None:
    (found,) = run.trial(f"zero_shot@openai:toy@{server.url}").predict(["the invoice is wrong"])
    assert found.answer == "billing" and found.usage.usd > 0


@pytest.mark.slow
def test_where_labels_are_single_tokens_they_are_scored(
    make: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = {"billing": 0.1, "bugs": 0.08, "sales": 0.07, "the": 0.01}
    monkeypatch.setattr(server, "chances", lambda text: {**chances, team(text): 0.6})
    run = raced(make, tmp_path, server, methods=["zero_shot", "zero_shot+calibrate"])
    name = f"openai:toy@{server.url}"
    rows = {row["candidate"]: row for row in run.verdict.to_dict()["leaderboard"]}
    assert rows[f"zero_shot@{name}"]["failed_items"] == 0 and rows[f"zero_shot+calibrate@{name}"]["test"]["n"] > 0
    assert any("likeliest first tokens" in event.text for event in run.log.of(Noted))


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
