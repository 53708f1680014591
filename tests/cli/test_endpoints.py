"""What the menu and the doctor say of models behind an API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNINGFORK_CONFIG", str(tmp_path / "config"))
    for name in ("TUNINGFORK_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def looks(result: Any) -> list[tuple[str, str, str]]:
    found = json.loads(result.output.splitlines()[-1])
    return [(look["what"], look["state"], f"{look['text']} {look['todo']}") for look in found]


def test_the_menu_shows_the_presets_and_how_an_endpoint_is_named(cli: Cli) -> None:
    shown = cli("models").output
    assert "openai:MODEL@http://localhost:8000/v1" in shown
    for part in ("anthropic:MODEL", "GEMINI_API_KEY", "http://localhost:11434/v1", "tuningfork doctor"):
        assert part in shown


def test_the_doctor_looks_at_an_endpoint(cli: Cli, fault_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNINGFORK_API_KEY", KEY)
    with fault_server(key=KEY, chances=lambda text: {"yes": 0.9}) as server:
        result = cli("doctor", f"openai:toy@{server.url}", "--json")
    assert result.exit_code == 0 and KEY not in result.output
    found = looks(result)
    assert [(what, state) for what, state, _ in found] == [(w, "ok") for w in ("key", "price", "server", "answers")]
    assert "TUNINGFORK_API_KEY is set" in found[0][2] and "free" in found[1][2] and "generate, score" in found[2][2]


def test_the_doctor_reads_prices_and_endpoints_of_a_task_file(
    cli: Cli, make: Any, tmp_path: Path, fault_server: Any
) -> None:
    with fault_server() as server:
        name = f"openai:toy@{server.url}"
        make.task(tmp_path, models=["fake", name], prices={name: {"in": 2, "out": 3}})
        result = cli("doctor", "task.yaml", "--json")
    assert result.exit_code == 0 and "2 in, 3 out, USD a million tokens, by the task file" in looks(result)[1][2]
    make.task(tmp_path, models=["fake"])
    assert cli("doctor", "task.yaml").exit_code == 2


@pytest.mark.parametrize(
    ("name", "what", "text"),
    [
        ("openai:gpt-4.1-mini", "key", "OPENAI_API_KEY or TUNINGFORK_API_KEY is not set"),
        ("openai:brand-new", "price", "openai:brand-new: {in: 0.00, out: 0.00}"),
        ("openai:toy@http://127.0.0.1:9/v1", "server", "No server answers"),
    ],
)
def test_the_doctor_says_what_stands_in_the_way(name: str, what: str, text: str, cli: Cli) -> None:
    result = cli("doctor", name, "--json")
    assert result.exit_code == 2
    assert [t for w, state, t in looks(result) if w == what and state == "problem" and text in t]


def test_the_doctor_knows_no_other_words(cli: Cli) -> None:
    result = cli("doctor", "nonsense")
    assert result.exit_code == 2 and "no model behind an API and no task file" in result.output


def test_the_page_about_endpoints_is_true() -> None:
    from tuningfork.models.endpoint import address_of, is_endpoint
    from tuningfork.models.endpoint.retry import TRIES
    from tuningfork.price import ASKED_AGAIN

    page = (Path(__file__).parents[2] / "docs" / "endpoints.md").read_text("utf-8")
    names = [line.split()[0] for line in page.split("```text\n")[1].split("```")[0].splitlines()]
    assert len(names) == 6 and all(is_endpoint(name) and address_of(name).model for name in names)
    assert f"up to {TRIES} times" in page and ASKED_AGAIN == 2 and "again twice at most" in page
