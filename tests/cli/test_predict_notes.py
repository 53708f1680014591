"""What `predict` says besides how far it is: how a model runs here, and that inputs were cut."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tuningfork import models
from tuningfork.candidate import Single, Template, to_dict
from tuningfork.cli import part as part_
from tuningfork.cli.compare import INTERRUPTED
from tuningfork.model import Failure, ScoreRequest, Scores, Usage
from tuningfork.models.fake import FakeModel
from tuningfork.task import Message, plain_text

Cli = Callable[..., Any]
NOTE = "bloom models can't share what prompts have in common."
CANDIDATE = Single("short", ("yes", "no"), ("yes", "no"), Template((Message("user", "{{text}}"),)))


class Short(FakeModel):
    """Reads the first two characters of an input, and says so."""

    notes = (NOTE,)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        cut = [Usage(tokens_cut=max(0, len(plain_text(each.prompt.messages[-1].content)) - 2)) for each in requests]
        found = super().score(requests)
        return [replace(entry, usage=entry.usage + more) for entry, more in zip(found, cut, strict=True)]


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An exported candidate on a model that cuts what is longer than two characters."""
    monkeypatch.setattr(models, "open_model", lambda name, **_: Short(name))
    (tmp_path / "short").mkdir()
    data = {**to_dict(CANDIDATE), "name": "zero_shot@short", "reads": ["text"]}
    (tmp_path / "short" / "candidate.json").write_text(json.dumps(data))
    return str(tmp_path / "short")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a block, and each is safe as soon as it is answered."""
    monkeypatch.setattr(importlib.import_module("tuningfork.predict.blocks"), "CHARACTERS", 1)
    monkeypatch.setattr(part_, "SECONDS_BETWEEN_STATES", 0.0)


def rows(*texts: str) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_what_was_cut_is_in_the_closing_line(cli: Cli, short: str) -> None:
    Path("in.jsonl").write_text(rows("a", "bcd", "efgh"))
    for result in (cli("predict", short, "-i", "in.jsonl", "-o", "out.csv"), cli("predict", short, "-i", "in.jsonl")):
        assert result.exit_code == 0, result.output
        last = flat(result.stderr.splitlines()[-1])
        assert last.startswith("3 rows answered by zero_shot@short in ")
        assert last.endswith("; some inputs are longer than its model reads. Of 3 answers, 3 tokens of input were cut.")


def test_nothing_is_said_where_nothing_was_cut(cli: Cli, short: str) -> None:
    result = cli("predict", short, input=rows("a", "b"))
    assert result.exit_code == 0 and "cut" not in result.stderr and "2 rows answered" in result.stderr


def test_how_a_model_runs_is_said_once_before_its_first_answer(cli: Cli, short: str, small_blocks: None) -> None:
    result = cli("predict", short, input=rows("a", "b", "c"))
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 3
    assert flat(result.stderr).count(f"note: short: {NOTE}") == 1
    assert result.output.index("note: short") < result.output.index('"text": "a"')


def test_neither_is_said_quietly(cli: Cli, short: str) -> None:
    assert cli("predict", short, "--quiet", input=rows("abcd")).stderr == ""


@pytest.fixture
def stopped(cli: Cli, short: str, small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three rows are answered; one token of them was cut."""
    Path("in.jsonl").write_text(rows("abc", "de", "fghi"))
    add, blocks = part_.Part.add, []

    def stop_at_the_third(part: part_.Part, *block: Any) -> None:
        blocks.append(block)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        add(part, *block)

    monkeypatch.setattr(part_.Part, "add", stop_at_the_third)
    assert cli("predict", short, "-i", "in.jsonl", "-o", "out.csv").exit_code == INTERRUPTED


@pytest.mark.parametrize(("known", "told"), [(True, 3), (False, 2)])
def test_what_an_earlier_command_cut_is_counted_too(
    cli: Cli, short: str, stopped: None, known: bool, told: int
) -> None:
    """Where it was counted: a state of before that was done is gone on with all the same."""
    state = json.loads(Path("out.csv.part.json").read_text())
    assert state.pop("cut") == 1
    if not known:
        Path("out.csv.part.json").write_text(json.dumps(state))
    result = cli("predict", short, "-i", "in.jsonl", "-o", "out.csv")
    assert result.exit_code == 0 and f"Of 3 answers, {told} tokens of input were cut." in flat(result.stderr)
