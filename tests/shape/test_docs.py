"""Every example in the README and the docs runs, in order, page by page; generated pages are up to date; links lead
somewhere. Bundled models are played by the fake one here, because weights would be slow."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"python", "console", "yaml", "text"}


def blocks(page: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == kind]


def with_blocks(kind: str) -> list[Any]:
    return [pytest.param(page, id=page.name) for page in PAGES if blocks(page, kind)]


@pytest.fixture
def place(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples speak of (tickets.csv, task.yaml, new.csv); the fake plays the bundled models."""
    from tuningfork import models
    from tuningfork.models.fake import FakeModel

    fakes = {"smollm2-135m": "fake", "minilm-l6": "fake-encoder"}
    real_open, real_capabilities = models.open_model, models.capabilities

    def open_model(name: str, *rest: Any) -> Any:
        if name not in fakes:
            return real_open(name, *rest)
        return FakeModel(name, kind="encoder" if name == "minilm-l6" else "causal")

    monkeypatch.setattr(models, "open_model", open_model)
    monkeypatch.setattr(models, "capabilities", lambda name, *_: real_capabilities(fakes.get(name, name)))
    make.task(tmp_path, models=["smollm2-135m", "minilm-l6"], methods="auto")
    make.csv(tmp_path / "tickets.csv", make.rows(60))
    monkeypatch.setattr("tuningfork.models.reading.open_reader", lambda name: f"{name} is played by the fake")
    roads = ("majority", "zero_shot", "few_shot+calibrate", "head", "lora")  # of `auto` other tests know
    monkeypatch.setattr("tuningfork.methods.auto", lambda task, n_train: roads)
    make.csv(tmp_path / "new.csv", [{"text": row["text"]} for row in make.rows(5)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {kind for kind, _ in BLOCK.findall(text)} <= KINDS
    assert len(re.findall("^```", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text))


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_examples_run(page: Path, place: Path) -> None:
    names: dict[str, Any] = {"__name__": "docs"}
    for number, text in enumerate(blocks(page, "python"), start=1):
        exec(compile(text, f"{page.name}, python block {number}", "exec"), names)


@pytest.mark.parametrize("page", with_blocks("console"))
def test_console_examples_run(
    page: Path, place: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in "".join(blocks(page, "console")).splitlines():
        assert line.startswith("$ "), f"{page.name}: {line!r} is no command"
        program, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
        if program == "make":
            assert set(arguments) <= targets, line
        else:
            assert program == "tuningfork", line
            result = cli(*arguments)
            assert result.exit_code == 0, f"{page.name}: {line}\n{result.output}\n{result.exception!r}"


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_yaml_examples_can_be_read(page: Path, place: Path) -> None:
    from tuningfork import load_task
    from tuningfork.methods import open_contender

    tasks = [text for text in blocks(page, "yaml") if text.startswith("name:")]
    prompts = [text for text in blocks(page, "yaml") if not text.startswith("name:")]
    for text in tasks:
        (place / "example.yaml").write_text(text, encoding="utf-8")
        task = load_task(place / "example.yaml")
        for prompt in prompts:
            (place / "our-prompt.yaml").write_text(prompt, encoding="utf-8")
            assert open_contender("our-prompt.yaml", task).family == "yours"
    assert tasks


def test_the_method_in_the_guide_is_one() -> None:
    from tuningfork import Method

    names: dict[str, Any] = {"__name__": "guide"}
    exec(blocks(ROOT / "CONTRIBUTING.md", "python")[0], names)
    assert isinstance(names["Shouting"](), Method)


@pytest.mark.parametrize("file", ["cli.md", "menus.md"])
def test_generated_pages_are_up_to_date(file: str) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / file).read_text(encoding="utf-8") == generate.pages()[file], "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path) if path else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_every_task_key_is_explained() -> None:
    from tuningfork.data.taskfile import COMMENTS

    text = (ROOT / "docs" / "task-file.md").read_text(encoding="utf-8")
    assert [key for key in COMMENTS if f"| `{key}` |" not in text] == []


def test_the_floors_in_the_docs_are_those_of_the_test() -> None:
    spec = importlib.util.spec_from_file_location("layers", Path(__file__).with_name("test_layers.py"))
    assert spec is not None and spec.loader is not None
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {}
    for floor, rooms in re.findall(r"^\| (\d+) \| ([^|]+) \|", text, re.MULTILINE):
        for room in re.findall(r"`(\w+)(?:\.py|/)`", rooms):
            found[room] = int(floor)
    assert found == layers.FLOORS


def test_every_dependency_is_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [line for name, lines in extras.items() if name != "dev" for line in lines]
    wanted = [re.split(r"[<>=\[]", line)[0] for line in (*project["dependencies"], *lines)]
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Dependencies")[1]
    listed = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))))
    assert set(wanted) <= listed


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    wanted = {re.split(r"[<>=\[]", line)[0].lower() for line in (*project["dependencies"], *extras)}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {name.lower() for name in re.findall(r"^([\w.-]+)==\S+$", pins, re.MULTILINE)}
    assert wanted <= pinned
    assert "torch==2.13.0\n" in pins
