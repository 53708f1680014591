"""Learning curves: what each road reached after learning from a part of the examples; what twice as many promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..words import Scale
from .look import CURVE_COLOURS, FAMILY_SHAPES, Chart

MOST = 6
"""More lines can't be told apart."""


def more_data(found: Mapping[str, Any], scale: Scale) -> Chart | None:
    """Of the answer `more_data`; None where the race was too short for a curve."""
    curves: Sequence[Mapping[str, Any]] = (found.get("curves") or [])[:MOST]
    if not curves:
        return None
    import altair as alt

    names = [curve["candidate"] for curve in curves]
    colours = alt.Scale(domain=names, range=list(CURVE_COLOURS[: len(names)]))
    shapes = alt.Scale(domain=names, range=list(FAMILY_SHAPES.values())[: len(names)])
    legend = alt.Legend(title=None, orient="top", columns=1, labelLimit=320, symbolOpacity=1)
    sizes = sorted({p["examples"] for c in curves for p in (*c["points"], c["next"])})
    x = alt.X("examples:Q", title="Labelled examples (log scale)", scale=_spread(sizes)).axis(grid=False, values=sizes)
    title = f"{scale.metric} on dev ({scale.unit})" if scale.unit else f"{scale.metric} on dev"
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, nice=False, padding=12))
    colour = alt.Color("candidate:N", scale=colours, legend=legend)
    means, seen, ahead = _drawn(curves, scale)
    layers = [
        alt.Chart(alt.InlineData(values=means)).mark_line(strokeWidth=2.2).encode(x=x, y=y, color=colour),
        alt.Chart(alt.InlineData(values=ahead))
        .mark_line(strokeWidth=2, strokeDash=[5, 4])
        .encode(x=x, y=y, color=colour),
        alt.Chart(alt.InlineData(values=[point for point in ahead if "low" in point]))
        .mark_rule(strokeWidth=2, opacity=0.5)
        .encode(x=x, y=alt.Y("low:Q", title=title), y2="high:Q", color=colour),
        alt.Chart(alt.InlineData(values=seen))
        .mark_point(size=70, filled=True, opacity=1)
        .encode(x=x, y=y, color=colour, shape=alt.Shape("candidate:N", scale=shapes, legend=legend)),
    ]
    spec: dict[str, Any] = alt.layer(*layers).properties(width="container", height=300).to_dict()
    reading = (
        "Marks were measured on dev, a mark a seed. The dashed end is what twice the examples promise, its whisker the"
        " 95% interval; further than one doubling no curve is to be trusted."
    )
    return Chart(spec, reading)


def _spread(sizes: Sequence[int]) -> Any:
    """A log scale, which bends near 0 where a road that learns from nothing is among them."""
    import altair as alt

    bent = {"type": "symlog", "constant": 8} if min(sizes) < 1 else {"type": "log"}
    return alt.Scale(**bent, nice=False, padding=14)


def _drawn(curves: Sequence[Mapping[str, Any]], scale: Scale) -> tuple[list[Any], list[Any], list[Any]]:
    """Means by size, single points, and the dashed ends with their intervals, in the units of the axis."""
    means, seen, ahead = [], [], []
    for curve in curves:
        name, points = curve["candidate"], curve["points"]
        by_size: dict[int, list[float]] = {}
        for point in points:
            by_size.setdefault(point["examples"], []).append(point["value"] * scale.factor)
            seen.append({"candidate": name, "examples": point["examples"], "value": point["value"] * scale.factor})
        line = [{"candidate": name, "examples": n, "value": sum(v) / len(v)} for n, v in sorted(by_size.items())]
        means += line
        end = {"candidate": name, "examples": curve["next"]["examples"]}
        ends = {key: curve["next"][key] * scale.factor for key in ("value", "low", "high")}
        ahead += [line[-1], {**end, **ends}]
    return means, seen, ahead
