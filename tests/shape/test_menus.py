"""Every file of a room with a menu is on it, and what is on it is a file, opens by its name and says what it is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tuningfork import methods, metrics, models, probes
from tuningfork.errors import UnknownName

SOURCE = Path(__file__).parents[2] / "src" / "tuningfork"

NO_ENTRY = {
    "methods": {
        "breeding",
        "calibrations",
        "choosing",
        "contender",
        "defaults",
        "draws",
        "gepa_adapter",
        "headroom",
        "one_vs_rest",
        "partners",
        "pool",
        "search",
        "tuning",
        "wordings",
        "yes_no",
    },
    "metrics": {"function"},
    "probes": set(),
}
"""Files that are no entry of their room's menu: the user's own, and what several methods share."""


@pytest.mark.parametrize("room", [methods, metrics, probes], ids=lambda room: room.__name__)
def test_files_and_menu_are_the_same(room: Any) -> None:
    name = room.__name__.rpartition(".")[2]
    files = {path.stem for path in (SOURCE / name).glob("*.py")} - {"__init__"} - NO_ENTRY[name]
    assert {target.partition(":")[0] for target in room.MENU.values()} == files
    assert room is metrics or set(room.MENU) == files, "metrics alone may share a file, where they share arithmetic"


@pytest.mark.parametrize("name", methods.MENU)
def test_a_method_is_a_frozen_dataclass_that_says_what_it_is(name: str) -> None:
    method = methods.open_method(name)
    assert method.name == name
    assert dataclasses.is_dataclass(method) and type(method).__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert re.match(r"[A-Z].{20,}\.$", (type(method).__doc__ or "").split("\n")[0]), "its docstring is its menu line"


@pytest.mark.parametrize("name", metrics.MENU)
def test_a_metric_says_its_range_and_direction(name: str) -> None:
    metric = metrics.open_metric(name)
    low, high = metric.range
    assert metric.name == name and low < high and isinstance(metric.higher_is_better, bool) and type(metric).__doc__


@pytest.mark.parametrize("name", probes.MENU)
def test_a_probe_has_its_name(name: str) -> None:
    probe = probes.open_probe(name)
    assert probe.name == name and type(probe).__doc__


@pytest.mark.parametrize("entry", models.menu(), ids=lambda entry: entry.id)
def test_a_model_says_what_it_can_before_it_is_opened(entry: models.ModelInfo) -> None:
    assert entry.capabilities == models.capabilities(entry.id) and entry.about
    if entry.id in models.FAKES:
        opened = models.open_model(entry.id)
        assert (opened.id, opened.capabilities) == (entry.id, entry.capabilities)


@pytest.mark.parametrize(
    "open_it",
    [methods.open_method, metrics.open_metric, probes.open_probe, models.open_model],
    ids=lambda f: f.__name__,
)
def test_a_name_on_no_menu_is_answered_with_the_menu(open_it: Any) -> None:
    with pytest.raises(UnknownName, match=r"Known: \w+"):
        open_it("no_such_thing")
