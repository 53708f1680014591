"""Endpoints on a small local server, with hardly any waiting, no key of the user's and no prices of his own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tuningfork.models.endpoint import open_endpoint, presets
from tuningfork.task import Message, Prompt


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in {"TUNINGFORK_API_KEY", *(str(preset["key"]) for preset in presets().values())}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TUNINGFORK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr("tuningfork.models.endpoint.retry.FIRST_SECONDS", 0.001)


@pytest.fixture
def serve(fault_server: Any) -> Iterator[Callable[..., Any]]:
    """`serve(answer=..., faults=...)`: a running FaultServer, stopped at the end of the test."""
    with ExitStack() as stack:
        yield lambda **about: stack.enter_context(fault_server(**about))


@pytest.fixture
def opened() -> Iterator[Callable[..., Any]]:
    """`opened(server)`: its model `toy`, closed at the end of the test."""
    with ExitStack() as stack:

        def open_it(server: Any, preset: str = "openai", model: str = "toy", **more: Any) -> Any:
            endpoint = open_endpoint(f"{preset}:{model}@{server.url}", **more)
            stack.callback(endpoint.close)
            return endpoint

        yield open_it


@pytest.fixture
def ask() -> Callable[[str], Prompt]:
    """`ask("text")`: a chat that asks about it."""
    return lambda text: Prompt((Message("system", "Answer yes or no."), Message("user", text)), 1)
