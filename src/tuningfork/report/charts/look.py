"""What all charts share: colours, shapes, and what a chart is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAMILY_COLOURS: Mapping[str, str] = {
    "prompt": "#1A82C4",  # a little lighter than theirs, so that it also stands on dark paper
    "soft": "#CC79A7",
    "tune": "#D55E00",
    "hybrid": "#009E73",
    "baseline": "#8A8F98",
    "yours": "#E69F00",
}
FAMILY_SHAPES: Mapping[str, str] = {
    "prompt": "circle",
    "soft": "triangle-up",
    "tune": "square",
    "hybrid": "diamond",
    "baseline": "cross",
    "yours": "triangle-down",
}
CURVE_COLOURS = ("#1A82C4", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8F98", "#B8A800")


@dataclass(frozen=True)
class Chart:
    """One chart: its specification, and a line that says how to read it."""

    spec: dict[str, Any]
    reading: str
