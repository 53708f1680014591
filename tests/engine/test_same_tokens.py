"""What a race measured is what is asked later: a row becomes the same tokens in the race, in `predict` of the run and
in an export that was loaded again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tuningfork
from tuningfork.engine import device as device_
from tuningfork.engine.render import Renderer
from tuningfork.runs import Exported, Run

Asked = set[tuple[int, ...]]
MARK = "Peru"
ROW = f"do you ship to {MARK}, or is my plan <|end|> charged twice?"
"""Words of the tokenizer's corpus, and one of its special tokens, which each way must break up alike."""


def write_rows(path: Path, words: tuple[str, str], more: list[dict[str, str]]) -> None:
    rows = [
        {"text": f"{word} number {n}", "team": team}
        for n in range(15)
        for word, team in zip(words, ("billing", "other"), strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]), encoding="utf-8")


@pytest.fixture
def run(make: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Run]:
    """A race of a tiny random model on a small task, one of whose test rows is ROW."""
    make.model("llama", tmp_path / "tiny", chat=request.param == "chat")
    write_rows(tmp_path / "train.jsonl", ("plan charged", "office password"), [])
    write_rows(tmp_path / "test.jsonl", ("refund payments", "ship where"), [{"text": ROW, "team": "billing"}])
    task = {
        "name": "same",
        "kind": "classification",
        "data": {"train": "train.jsonl", "test": "test.jsonl"},
        "columns": {"input": "text", "target": "team"},
        "instruction": "Which team should handle this message?",
        "models": [str(tmp_path / "tiny")],
        "methods": ["zero_shot"],
        "budget": {"seconds": 60},
    }
    (tmp_path / "task.yaml").write_text(json.dumps(task))
    return lambda: tuningfork.compare(tmp_path / "task.yaml", runs=tmp_path / "runs")


@contextmanager
def listening(patch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """Token ids of what a model is asked about ROW: whole prompts, and prompts with a choice."""
    heard: Asked = set()
    ids, continuations = Renderer.ids, Renderer.continuations

    def heard_ids(self: Renderer, texts: Any) -> list[list[int]]:
        found = ids(self, texts)
        heard.update(tuple(row) for text, row in zip(texts, found, strict=True) if MARK in text)
        return found

    def heard_continuations(self: Renderer, text: str, known: Any, answers: Any) -> list[tuple[int, list[int]]]:
        found = continuations(self, text, known, answers)
        heard.update((*known[:stand], *rest) for stand, rest in found if MARK in text)
        return found

    with patch.context() as own:
        own.setattr(Renderer, "ids", heard_ids)
        own.setattr(Renderer, "continuations", heard_continuations)
        yield heard


@pytest.mark.parametrize("run", ["chat", "plain"], indirect=True)
def test_a_race_and_predict_and_an_export_ask_the_very_same_tokens(
    run: Callable[[], Run], make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_, "choose", lambda *_: make.cpu)
    with listening(monkeypatch) as raced:
        done = run()
    (name,) = (trial for trial in done.leaderboard()["candidate"] if trial.startswith("zero_shot@"))
    with listening(monkeypatch) as predicted:
        (answer,) = done.trial(name).predict([{"text": ROW}])
    done.trial(name).export(tmp_path / "taken")
    with listening(monkeypatch) as exported:
        (again,) = Exported.load(tmp_path / "taken").predict([{"text": ROW}])
    assert predicted and predicted == exported and predicted <= raced
    assert answer.failure is None and again.nats == answer.nats
