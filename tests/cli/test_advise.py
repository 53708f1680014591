"""`advise`: what is said before a race, and that the race keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuningfork.decide.advise import Facts, advise, note, noted

Cli = Callable[..., Any]


def some(**about: Any) -> Facts:
    return Facts(**{"examples": 200, "classes": 6, "rarest": 20, "largest_share": 0.2, "promptable": True,
                    "tunable": True, "parameters": None, **about})  # fmt: skip


@pytest.mark.parametrize(
    ("about", "road"),
    [
        ({"examples": 10}, "prompt"),
        ({"examples": 40}, "prompt"),
        ({"examples": 150}, "race"),
        ({"examples": 400}, "tune"),
        ({"examples": 400, "classes": 2}, "race"),
        ({"examples": 6000, "classes": 2}, "tune"),
        ({"examples": 400, "classes": 0}, "race"),
        ({"examples": 5000, "tunable": False}, "prompt"),
        ({"examples": 5, "promptable": False}, "tune"),
        ({"examples": 150, "parameters": 135e6}, "tune"),
        ({"examples": 150, "zero_shot": (2, 32)}, "tune"),
        ({"examples": 200, "zero_shot": (28, 32)}, "prompt"),
        ({"examples": 150, "zero_shot": (9, 32)}, "race"),
    ],
)
def test_thresholds(about: dict[str, Any], road: str) -> None:
    assert advise(some(**about)).road == road


def test_reasons_name_their_sources_and_what_was_measured() -> None:
    found = advise(some(parameters=135e6, rarest=3, zero_shot=(2, 32), nats_a_token=5.0, largest_share=0.85))
    said = " ".join(found.reasons)
    for word in ("Pecher", "135M", "3 examples", "2 of 32", "unfamiliar", "macro_f1"):
        assert word in said


def test_a_note_is_read_back() -> None:
    found = advise(some())
    assert noted(("Another note.", note(found))) == (found.road, found.sentence)
    assert noted(("Another note.",)) is None


def test_the_verb_says_what_to_try_and_why(cli: Cli, small_task: Path) -> None:
    result = cli("advise", small_task, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["road"] in ("prompt", "tune", "race")
    assert any("A bare prompt got" in reason for reason in found["reasons"])
    assert "tuningfork compare" in result.stdout


def test_without_a_model_nothing_is_opened(cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuningfork.models.open_model", lambda *_: pytest.fail("a model was opened"))
    result = cli("advise", small_task, "--no-model")
    assert result.exit_code == 0 and "bare prompt" not in result.stdout


def test_data_that_can_not_be_raced_is_refused_in_words(cli: Cli, small_task: Path, make: Any) -> None:
    make.csv(Path("tickets.csv"), [{**row, "team": "sales"} for row in make.rows(60)])
    result = cli("advise", small_task, "--no-model")
    assert result.exit_code == 2 and "sales" in result.stderr


@pytest.mark.slow
def test_the_race_keeps_the_advice_and_judges_it(raced: Path) -> None:
    from tuningfork.runs import Run

    run = Run.load(raced)
    assert noted(run.log.started.notes)
    assert "advice before the race" in run.verdict.answers["advised"]["sentence"]


def test_facts_count_every_label_of_an_example_and_know_which_models_can_what() -> None:
    from tuningfork.advice import facts
    from tuningfork.task import Columns, Example, Sources, Split, Task

    labelled = [frozenset({"a", "b"}), frozenset({"a"}), "a"]
    train = tuple(Example(str(k), {"text": "x"}, target) for k, target in enumerate(labelled))
    task = Task("t", "multilabel", Sources("t"), Columns(("text",), "label"), models=("fake-encoder",))
    found = facts(task, Split(train, (), (), ()))
    assert (found.examples, found.classes, found.rarest, found.largest_share) == (3, 2, 1, 1.0)
    assert found.tunable and not found.promptable
    assert facts(task.with_(models=("smollm2-135m",)), Split(train, (), (), ())).parameters == pytest.approx(
        135e6, 0.02
    )
