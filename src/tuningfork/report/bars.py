"""Interval bars of plain HTML, which stand without JavaScript and on paper; how a candidate is named on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from . import words
from .charts.look import FAMILY_COLOURS, FAMILY_SHAPES
from .words import Scale


def axis(ends: list[float | None], scale: Scale | None) -> tuple[float, float]:
    """Round ends of an axis that holds all finite `ends`, and goes never beyond what the metric can reach."""
    finite = [end for end in ends if end is not None and math.isfinite(end)] or [0.0, 1.0]
    span = max(finite) - min(finite) or 0.01
    rough = 10.0 ** math.floor(math.log10(span / 8))
    step = next(rough * factor for factor in (1, 2, 5, 10) if span / (rough * factor) <= 12)
    low, high = math.floor(min(finite) / step) * step, math.ceil(max(finite) / step) * step
    return (max(low, scale.low), min(high, scale.high)) if scale else (low, high)


def bar(
    value: float | None, low: float | None, high: float | None, axis_low: float, axis_high: float
) -> dict[str, float] | None:
    """Positions in percent of the axis; None where one is unknown, so that nothing is drawn."""
    if value is None or low is None or high is None or not all(map(math.isfinite, (value, low, high))):
        return None

    def at(number: float) -> float:
        return round(min(100.0, max(0.0, 100 * (number - axis_low) / ((axis_high - axis_low) or 1.0))), 2)

    return {"value": at(value), "low": at(low), "width": round(at(high) - at(low), 2)}


def who(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    """How a candidate is named everywhere on the page: road, model, family with its mark."""
    short = words.short_models(str(other["model"]) for other in verdict["leaderboard"])
    family = str(row["family"]) if row["family"] in words.FAMILIES else "yours"
    return {
        "trial": row["candidate"],
        "road": words.road(row),
        "model": row["model"],
        "short": short[str(row["model"])],
        "family": family,
        "family_name": words.FAMILIES[family],
        "colour": FAMILY_COLOURS[family],
        "shape": FAMILY_SHAPES[family],
    }
