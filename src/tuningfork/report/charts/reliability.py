"""Does "80% sure" mean 80% right? The share right by stated confidence, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .look import CURVE_COLOURS, FAMILY_COLOURS, FAMILY_SHAPES, Chart

MOST = 2


def reliability(calibration: Sequence[Mapping[str, Any]], families: Mapping[str, str]) -> Chart | None:
    """Of the first candidates whose confidences could be judged, in the colours of their families where these differ;
    None where none could."""
    judged = [entry for entry in calibration if entry.get("bins")][:MOST]
    if not judged:
        return None
    import altair as alt

    values = [
        {
            "candidate": entry["candidate"],
            **{k: 100 * b[k] for k in ("confidence", "right", "low", "high")},
            "n": b["n"],
        }
        for entry in judged
        for b in entry["bins"]
    ]
    names = [entry["candidate"] for entry in judged]
    of = [families.get(name, "") for name in names]
    apart = len(set(of)) == len(of) and set(of) <= set(FAMILY_COLOURS)
    colours = [FAMILY_COLOURS[family] for family in of] if apart else list(CURVE_COLOURS[: len(names)])
    colour = alt.Color("candidate:N", title=None, scale=alt.Scale(domain=names, range=colours))
    marks = [FAMILY_SHAPES[family] for family in of] if apart else list(FAMILY_SHAPES.values())[: len(names)]
    shape = alt.Shape("candidate:N", title=None, scale=alt.Scale(domain=names, range=marks))
    legend = alt.Legend(orient="top", columns=1, labelLimit=320, symbolOpacity=1)
    axis = alt.Axis(grid=False, tickCount=6)
    x = alt.X("confidence:Q", title="Stated confidence (%)", scale=alt.Scale(domain=[0, 100]), axis=axis)
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, color=colour.legend(legend))
    y = alt.Y("right:Q", title="Right (%)", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=6))
    level = alt.Chart(alt.InlineData(values=[{"confidence": 0, "right": 0}, {"confidence": 100, "right": 100}]))
    spec: dict[str, Any] = (
        alt.layer(
            level.mark_line(strokeDash=[4, 4], strokeWidth=1.2, opacity=0.6, color="#8A8F98").encode(x=x, y=y),
            base.mark_rule(strokeWidth=1.6, opacity=0.55).encode(y=alt.Y("low:Q", title="Right (%)"), y2="high:Q"),
            base.mark_point(filled=True, size=80, opacity=1).encode(
                y=y, shape=shape.legend(legend), tooltip=["candidate:N", "confidence:Q", "right:Q", "n:Q"]
            ),
        )
        .properties(width="container", height=280)
        .to_dict()
    )
    return Chart(spec, "On the dashed line 80% sure means 80% right; under it a candidate is surer than it is right.")
