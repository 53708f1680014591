"""The public surface is a list that someone chose: sorted, what is there, and in the docs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tuningfork

ROOT = Path(__file__).parents[2]


def test_all_is_sorted_and_is_what_can_be_fetched() -> None:
    assert tuningfork.__all__ == sorted(tuningfork.__all__)
    assert list(tuningfork._WHERE) == tuningfork.__all__


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "src/tuningfork/__init__.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    found = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert found == tuningfork._WHERE


@pytest.mark.parametrize("name", tuningfork.__all__)
def test_each_name_is_there_and_in_the_docs(name: str) -> None:
    assert getattr(tuningfork, name) is not None
    assert f"`{name}`" in (ROOT / "docs/python.md").read_text(encoding="utf-8")


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compair'"):
        getattr(tuningfork, "compair")  # noqa: B009


def test_the_version_is_that_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tuningfork.__version__ == project["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
