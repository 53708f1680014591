"""Models that open when they are asked, and tokenizers that need no model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tuningfork.model import EmbedRequest, Model
from tuningfork.models.fake import FakeModel
from tuningfork.models.lazy import LazyModels
from tuningfork.models.reading import open_reader


def test_it_opens_once_and_only_when_it_is_asked() -> None:
    opened: list[str] = []

    def open_it(name: str) -> Model:
        opened.append(name)
        return FakeModel(name)

    models = LazyModels({"a": frozenset({"embed"}), "b": frozenset()}, open_it)
    assert list(models) == ["a", "b"] and len(models) == 2 and models["a"].capabilities == {"embed"}
    assert models["a"].id == "a" and not opened
    models["a"].embed([EmbedRequest("x")])
    models["a"].embed([EmbedRequest("y")])
    assert opened == ["a"]


def test_it_is_a_model_like_any_other(model_contract: Callable[..., None]) -> None:
    can = FakeModel("fake").capabilities
    model_contract(LazyModels({"fake": can}, FakeModel)["fake"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fake", "fake has no tokenizer"),
        ("openai:gpt@http://x/v1", "no tokenizer"),
        ("org/model", "is not on this machine"),
    ],
)
def test_models_without_a_tokenizer_here_say_why(name: str, why: str) -> None:
    reason = open_reader(name)
    assert isinstance(reason, str) and why in reason


def test_a_bundled_model_that_was_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path))
    reason = open_reader("smollm2-135m")
    assert isinstance(reason, str) and "tuningfork models --fetch" in reason
