"""Total cost of the best prompt and the best tuned candidate by traffic: where the lines cross, tuning pays back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .. import words
from .look import FAMILY_COLOURS, Chart


def payback(found: Mapping[str, Any], monthly: float | None) -> Chart | None:
    """Of the answer's `payback`; None where the costs of one road are unknown. `monthly`: the user's own traffic."""
    points = found.get("points")
    if not points:
        return None
    import altair as alt

    names = [found["prompt"], found["tune"]]
    colours = alt.Scale(domain=names, range=[FAMILY_COLOURS["prompt"], FAMILY_COLOURS["tune"]])
    dashes = alt.Scale(domain=names, range=[[1, 0], [7, 4]])
    legend = alt.Legend(title=None, orient="top", columns=1, labelLimit=320, symbolType="stroke", symbolSize=300)
    x = alt.X("requests_a_month:Q", title="Requests a month (log scale)", scale=alt.Scale(type="log", nice=False))
    x = x.axis(grid=False, values=_ticks([p["requests_a_month"] for p in points]), format=",~s")
    title = f"USD in {found['months']:g} months (log scale)"
    drawn = [{**point, "usd": max(point["usd"], 1e-6)} for point in points]
    axis = alt.Axis(values=_ticks([point["usd"] for point in drawn]), format=",~s")
    y = alt.Y("usd:Q", title=title, scale=alt.Scale(type="log"), axis=axis)
    lines = alt.Chart(alt.InlineData(values=drawn)).mark_line(strokeWidth=2.4)
    layers = [
        lines.encode(
            x=x,
            y=y,
            color=alt.Color("candidate:N", scale=colours, legend=legend),
            strokeDash=alt.StrokeDash("candidate:N", scale=dashes, legend=legend),
            tooltip=[
                "candidate:N",
                alt.Tooltip("requests_a_month:Q", format=",.0f"),
                alt.Tooltip("usd:Q", format=",.2f"),
            ],
        )
    ]
    if monthly:
        yours = alt.Chart(alt.InlineData(values=[{"requests_a_month": monthly}]))
        layers.append(yours.mark_rule(strokeDash=[2, 3], strokeWidth=1.8, color="#8A8F98").encode(x=x))
    spec: dict[str, Any] = alt.layer(*layers).properties(width="container", height=280).to_dict()
    return Chart(spec, _reading(found, monthly))


def _ticks(values: Sequence[float]) -> list[float]:
    """Powers of ten, which a log scale has between its ends."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, high + 1)]


def _reading(found: Mapping[str, Any], monthly: float | None) -> str:
    at = found.get("requests_a_month")
    yours = " The dotted line is your traffic." if monthly else ""
    if at is None:
        return f"The lines do not cross: {found['prompt']} costs less at any traffic.{yours}"
    if at == 0:
        return f"{found['tune']} costs less at any traffic.{yours}"
    left, right = found["prompt"], found["tune"]
    crossing = f"the crossing, at about {words.about(at)} requests a month,"
    return f"Left of {crossing} {left} costs less; right of it {right}.{yours}"
