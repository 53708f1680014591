"""How the tuned roads learned: loss on hold and on train, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...log import RunLog, Trained
from .look import CURVE_COLOURS, FAMILY_SHAPES, Chart


def training(log: RunLog) -> Chart | None:
    """Loss on hold (solid, with points) and on train (dashed) as tuning went on; the newest curve of each trial."""
    newest = newest_curves(log.of(Trained))
    values = [
        {"trial": event.trial, "step": point["step"], "part": part, "nats": point[key]}
        for event in newest
        for point in event.curve
        for part, key in (("hold", "hold_nats"), ("train", "train_nats"))
        if point.get(key) is not None and math.isfinite(point[key])
    ]
    if not values:
        return None
    import altair as alt

    trials = [event.trial for event in newest]
    colour = alt.Color("trial:N", title=None, scale=alt.Scale(domain=trials, range=list(CURVE_COLOURS[: len(trials)])))
    colour = colour.legend(
        orient="top", columns=1, labelLimit=320, symbolType="stroke", symbolSize=300, symbolStrokeWidth=3
    )
    dash = alt.StrokeDash("part:N", title=None, scale=alt.Scale(domain=["hold", "train"], range=[[1, 0], [4, 4]]))
    dash = dash.legend(orient="top", symbolType="stroke", symbolSize=300)
    shape = alt.Shape(
        "trial:N", scale=alt.Scale(domain=trials, range=list(FAMILY_SHAPES.values())[: len(trials)]), legend=None
    )
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("step:Q", title="Step", axis=alt.Axis(grid=False, tickCount=8)),
        y=alt.Y("nats:Q", title="Loss (nats an item)", scale=alt.Scale(zero=True)),
        color=colour,
        tooltip=["trial:N", "part:N", "step:Q", alt.Tooltip("nats:Q", format=".3f")],
    )
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dash)
    dots = base.transform_filter("datum.part == 'hold'").mark_point(filled=True, size=45).encode(shape=shape)
    chart = alt.layer(lines, dots).properties(width="container", height=260).resolve_scale(shape="independent")
    reading = (
        "Lower is better. Where the solid line (hold) turns up while the dashed one (train) falls, it learns by heart."
    )
    return Chart(chart.to_dict(), reading)


def newest_curves(trained: Sequence[Trained], most: int = 6) -> list[Trained]:
    """The newest curve of each trial, of at most `most` trials: more lines can't be told apart."""
    newest = {event.trial: event for event in trained if event.curve}
    return list(newest.values())[:most]
