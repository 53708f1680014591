"""The bar of the prompting benchmark, on rows made up for it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from tuningfork.methods import open_method

Script = Callable[[str], ModuleType]


def row(difference: float, low: float) -> dict[str, float]:
    return {"difference": difference, "low": low}


@pytest.mark.parametrize(
    ("rows", "holds"),
    [
        ([row(0.03, 0.0), row(0.02, -0.005), row(0.0, -0.009), row(0.01, 0.0)], True),
        ([row(0.03, 0.0), row(0.02, -0.005), row(0.0, -0.02), row(0.01, 0.0)], False),  # not shown to be no worse
        ([row(0.03, 0.0), row(0.019, 0.0), row(0.0, -0.009), row(0.01, 0.0)], False),  # better on one alone
        ([row(0.03, 0.0)], None),
    ],
)
def test_the_bar(script: Script, rows: list[dict[str, float]], holds: bool | None) -> None:
    assert script("prompting").holds(rows) is holds


def test_items_are_averaged_over_draws(script: Script) -> None:
    assert script("prompting").means([[1, 0, 1], [0, 0, 1]]) == [0.5, 0.0, 1.0]


def test_every_road_opens_and_is_a_prompt(script: Script) -> None:
    prompting = script("prompting")
    assert {open_method(road).family for road in (*prompting.ROADS, *prompting.BEFORE)} == {"prompt"}
