"""`tuningfork prompt`, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def told(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout.rstrip("\n").splitlines()[-1])
    return found


def write_prompt(text: str) -> str:
    Path("our-prompt.yaml").write_text(text, encoding="utf-8")
    return "our-prompt.yaml"


def test_the_plain_prompt(cli: Cli, small_task: Path) -> None:
    result = cli("prompt", small_task, "--json")
    (prompt,) = told(result)["prompts"]
    assert [message["role"] for message in prompt["messages"]] == ["system", "user"]
    assert prompt["messages"][0]["content"].endswith("Answer with exactly one of: billing, bugs, sales.")
    assert prompt["messages"][0]["content"] in result.stdout and "No hints." in result.stdout
    counts = prompt["counts"]
    assert prompt["unit"] == "characters" and prompt["text"] is None and "fake has no tokenizer" in result.stdout
    assert counts["total"] == counts["instruction"] + counts["input"] <= counts["longest"]
    assert counts["shared"] >= counts["instruction"] == len(prompt["messages"][0]["content"])


def test_a_method_and_a_model(cli: Cli, small_task: Path) -> None:
    method = "few_shot(per_class=2, train_too=false)"
    found = told(cli("prompt", small_task, "--method", method, "--json"))
    (prompt,) = found["prompts"]
    assert found["name"] == f"{method}@fake" and prompt["counts"]["demonstrations"] > 0
    assert [message["role"] for message in prompt["messages"]] == ["system", *["user", "assistant"] * 6, "user"]
    asked = [message["content"] for message in prompt["messages"] if message["role"] == "user"]
    assert len(set(asked)) == 7  # the row that is shown is no demonstration


def test_demonstrations_that_are_picked_and_passages_that_are_found(cli: Cli, small_task: Path, make: Any) -> None:
    (small_task.parent / "teams.md").write_text("# billing\nInvoices and cards.\n\n# bugs\nCrashes and errors.")
    path = make.task(small_task.parent, data={"train": "tickets.csv", "documents": "teams.md"})
    found = told(cli("prompt", path, "--method", "nearest_shots+retrieve", "--json"))
    (prompt,) = found["prompts"]
    assert "These passages may help:\n[1] teams.md#" in prompt["messages"][-1]["content"]
    assert prompt["counts"]["demonstrations"] > 0


def test_no_model_is_asked_for_a_plain_prompt(cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tuningfork.models

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was opened")

    monkeypatch.setattr(tuningfork.models, "open_model", refuse)
    assert cli("prompt", small_task).exit_code == 0


def test_a_run_and_its_trial(cli: Cli, raced: Path) -> None:
    found = told(cli("prompt", "--run", raced, "--trial", "zero_shot@fake", "--json"))
    assert found["name"] == "zero_shot@fake" and len(found["prompts"]) == 1
    head = told(cli("prompt", "--run", raced, "--trial", "head@fake-encoder", "--json"))["prompts"][0]
    assert [message["role"] for message in head["messages"]] == ["user"]  # an encoder reads the plain input
    refused = cli("prompt", "--run", raced, "--trial", "majority")
    assert refused.exit_code == 2 and "majority asks no model" in refused.stderr
    assert "Did you mean" in cli("prompt", "--run", raced, "--trial", "zero_shoot@fake").stderr


BAD = """
messages:
  - {role: system, content: "Say billing or bugs in one word."}
  - {role: user, content: "{text}"}
  - {role: assistant, content: money}
  - {role: user, content: "{{text}}"}
"""


def test_the_users_own_prompt_and_what_mending_it_is_worth(cli: Cli, small_task: Path) -> None:
    result = cli("prompt", write_prompt(BAD), "--task", small_task, "--try", "--json")
    found = told(result)
    hints = {hint["about"]: hint for hint in found["prompts"][0]["hints"]}
    assert found["name"] == "yours:our-prompt@fake" and {"unfilled", "odd-answers"} <= hints.keys()
    worth = hints["unfilled"]["tried"]
    assert worth["low"] <= worth["value"] and 0 < worth["n"] <= 64 and -1 <= worth["low"] <= worth["high"] <= 1
    assert "tried" not in hints["odd-answers"]  # it can't be mended without the user
    assert f"tried on {worth['n']} hold and train rows: " in result.stdout


def test_tried_rows_are_never_dev_or_test(cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuningfork.api import examine, open_task
    from tuningfork.models.fake import FakeModel

    seen: set[str] = set()
    scored = FakeModel._scored

    def watch(self: Any, request: Any) -> Any:
        seen.add(request.prompt.messages[-1].content)
        return scored(self, request)

    monkeypatch.setattr(FakeModel, "_scored", watch)
    assert cli("prompt", write_prompt(BAD), "--task", small_task, "--try").exit_code == 0
    split = examine(open_task(small_task)[0]).split
    assert split and seen <= {row.inputs["text"] for row in (*split.train, *split.hold)} and len(seen) > 30
    seen.clear()
    assert cli("prompt", write_prompt(BAD), "--task", small_task, "--try", "--seconds", "0").exit_code == 0
    assert len(seen) == 8  # the first block is always asked


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {role: user, content: 'x {{txt}}'}", "Did you mean 'text'"),
        ("- {role: user, content: 'x {text}'}", "names no column"),
    ],
)
def test_a_place_that_is_no_column(cli: Cli, small_task: Path, text: str, said: str) -> None:
    result = cli("prompt", write_prompt(text), "--task", small_task)
    assert result.exit_code == 2 and said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either FILE or --run"),
        (("task.yaml", "--run", "last"), "give either FILE or --run"),
        (("task.yaml", "--trial", "x@y"), "add --run RUN"),
        (("task.yaml", "--method", "lora"), "tunes weights"),
        (("task.yaml", "--method", "few_shoot"), "Did you mean 'few_shot'"),
        (("task.yaml", "--method", "majority"), "asks no model"),
        (("task.yaml", "--method", "retrieve"), "no documents"),
        (("task.yaml", "--model", "fake-encoder"), "needs a model that can score or generate"),
        (("our-prompt.yaml",), "looks like a prompt, not a task"),
    ],
)
def test_what_cannot_be_shown(cli: Cli, small_task: Path, arguments: tuple[str, ...], said: str) -> None:
    write_prompt(BAD)
    result = cli("prompt", *arguments)
    assert result.exit_code == 2 and said in result.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_it_keeps_to_the_width_but_for_the_prompt_itself(
    cli: Cli, small_task: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = cli("prompt", write_prompt(BAD), "--task", small_task, "--try").stdout.splitlines()
    under = lines[next(n for n, line in enumerate(lines) if line.startswith("characters  ")) :]
    assert all(len(line) <= width for line in under)
    assert any(line.startswith("error ") for line in under) and any(line.startswith("warning ") for line in under)
