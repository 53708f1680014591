"""Who may import whom, read from the source: strictly downward, no cycles, and a few doors that stay shut.

docs/architecture.md holds the same table in words. A room that is not in it has no place in the house yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tuningfork"

FLOORS = {
    "errors": 0,
    "task": 0,
    "functions": 1,
    "spec": 1,
    "stats": 1,
    "store": 1,
    "data": 1,
    "model": 2,
    "candidate": 3,
    "price": 3,
    "predict": 4,
    "metrics": 4,
    "log": 5,
    "method": 5,
    "engine": 6,
    "models": 7,
    "methods": 8,
    "probes": 8,
    "race": 9,
    "decide": 9,
    "report": 10,
    "export": 11,
    "runs": 12,
    "advice": 12,
    "api": 13,
    "cli": 14,
    "__main__": 15,
}
"""The public names of `__init__` are fetched by name and stand above all; nothing imports them from inside."""

SHUT = {
    "methods": {"engine", "race", "log", "store", "data"},
    "race": {"methods", "engine", "models"},
    "decide": {"model", "engine", "race"},
    "report": {"model", "models", "engine", "race", "predict"},
}


def modules() -> dict[str, Path]:
    """Dotted name below the package -> file; a package is named by its folder."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts == ("__init__",):
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """What a file imports from this package: (dotted name below the package, line)."""
    inside = path.relative_to(SOURCE).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tuningfork":
                    yield alias.name.removeprefix("tuningfork").lstrip("."), node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = [*inside[: len(inside) - node.level], *base]
            elif base[:1] == ["tuningfork"]:
                base = base[1:]
            else:
                continue
            for alias in node.names:
                if not base and alias.name == "__version__":
                    continue
                deeper = ".".join([*base, alias.name])
                yield (deeper if deeper in MODULES else ".".join(base)), node.lineno


def room(name: str) -> str:
    return name.split(".")[0]


def wrong(name: str, path: Path) -> list[str]:
    """What a file imports though it may not."""
    here, found = room(name), []
    for target, line in imports(path):
        there = room(target)
        if there == here:
            continue
        if not there:
            found.append(f"{name}:{line} imports the public names of the package; import from their own file")
        elif there not in FLOORS or FLOORS[there] >= FLOORS[here]:
            found.append(f"{name}:{line} (floor {FLOORS[here]}) imports {target} (floor {FLOORS.get(there)})")
        elif there in SHUT.get(here, ()):
            found.append(f"{name}:{line} imports {target}: that door stays shut")
    return found


def test_every_room_has_a_floor_and_every_floor_a_room() -> None:
    assert {room(name) for name in MODULES} == set(FLOORS)


def test_imports_go_strictly_downward() -> None:
    assert [
        fault for name, path in sorted(MODULES.items()) if room(name) in FLOORS for fault in wrong(name, path)
    ] == []


def test_no_cycles() -> None:
    graph = {name: {t for t, _ in imports(path) if t in MODULES and t != name} for name, path in MODULES.items()}
    # A package's own files may be imported by its __init__, and import each other, but not their __init__.
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"cycle: {' -> '.join(error.args[1])}")


def test_the_reader_of_imports_sees_all_forms(tmp_path: Path) -> None:
    file = SOURCE / "race" / "not_there.py"
    text = "from ..models import open_model\nimport tuningfork.engine\ndef f():\n    from ..methods import menu\n"

    class Pretend(type(file)):  # type: ignore[misc]
        def read_text(self, *_: object, **__: object) -> str:
            return text

    found = wrong("race.not_there", Pretend(file))
    assert len(found) == 3 and all("stays shut" in line for line in found)
