"""Quality against cost: every candidate with its interval, and which of them no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import words
from ..words import Scale
from .look import FAMILY_COLOURS, FAMILY_SHAPES, Chart

WIDTH, HEIGHT = 820.0, 340.0
"""Pixels of the drawing area that labels are laid out for; the page may make it narrower."""


def quality_cost(verdict: Mapping[str, Any], scale: Scale) -> Chart | None:
    """Quality with its interval against cost: latency (p50, log scale), or adapt seconds where fewer than two have one.

    A row with a test value shows it filled; one with dev only, hollow. None when there are not two points to compare.
    """
    rows = [row for row in verdict["leaderboard"] if row.get("test") or row.get("dev")]
    latency = sum(_latency(row) is not None for row in rows) >= 2
    cost = _latency if latency else _adapt
    ranks = {row["candidate"]: rank for rank, row in enumerate(rows, start=1)}
    points = [
        _point(row, spent, ranks, verdict, scale)
        for row in rows
        if (spent := cost(row)) is not None and _known(row.get("test") or row["dev"])
    ]
    if len(points) < 2:
        return None
    if not any(point["tested"] for point in points):
        points = [{**point, "tested": True} for point in points]  # nothing to tell apart by filling
    _place_labels(points, latency, words.without_addresses(verdict))
    limits = verdict.get("answers", {}).get("limits") or {}
    front = [trial for trial in limits.get("front", ()) if latency and trial in {p["trial"] for p in points}]
    broken = set(limits.get("checks", ())) - set(limits.get("feasible", ()))
    points = [{**p, "front": p["trial"] in front, "strength": 0.35 if p["trial"] in broken else 1} for p in points]
    return Chart(_cost_spec(points, latency, scale), _cost_reading(points, rows, latency, scale, front))


def _cost_spec(points: list[dict[str, Any]], latency: bool, scale: Scale) -> dict[str, Any]:
    import altair as alt

    title = "Milliseconds a request, median (log scale)" if latency else "Seconds to adapt"
    x_scale = alt.Scale(type="log", padding=8, nice=False) if latency else alt.Scale(type="symlog", constant=1)
    axis = alt.Axis(grid=False, values=_ticks(points, latency), labelExpr="format(datum.value, '.3~r')")
    x = alt.X("cost:Q", title=title, scale=x_scale, axis=axis)
    y_title = f"{scale.metric} ({scale.unit})" if scale.unit else scale.metric
    y_scale = alt.Scale(zero=False, padding=12)
    y = alt.Y("value:Q", title=y_title, scale=y_scale)
    present = {point["family"] for point in points}
    families = [family for family in FAMILY_COLOURS if words.FAMILIES[family] in present]
    named = [words.FAMILIES[family] for family in families]
    colours = alt.Scale(domain=named, range=[FAMILY_COLOURS[family] for family in families])
    shapes = alt.Scale(domain=named, range=[FAMILY_SHAPES[family] for family in families])
    legend = alt.Legend(title=None, orient="top", symbolSize=110, symbolOpacity=1, columnPadding=22)
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x)
    whiskers = base.mark_rule(strokeWidth=1.6, opacity=0.55).encode(
        y=alt.Y("low:Q", title=y_title, scale=y_scale),
        y2="high:Q",
        color=alt.Color("family:N", scale=colours, legend=legend),
    )
    marks = base.mark_point(size=110, strokeWidth=2).encode(
        y=y,
        opacity=alt.Opacity("strength:Q", scale=None),
        shape=alt.Shape("family:N", scale=shapes, legend=legend),
        color=alt.Color("family:N", scale=colours, legend=legend),
        fill=alt.Fill("family:N", scale=colours, legend=legend),
        fillOpacity=alt.condition("datum.tested", alt.value(1), alt.value(0)),
        tooltip=[alt.Tooltip(f"{key}:N", title=shown) for key, shown in _TIPS.items()],
    )
    labels = [_label_layer(base, y, side) for side in ("left", "right")]
    edge = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeDash=[2, 4], strokeWidth=1.4, color="#8A8F98"
    )
    spec: dict[str, Any] = (
        alt.layer(edge.encode(y=y), whiskers, marks, *labels).properties(width="container", height=HEIGHT).to_dict()
    )
    return spec


def _ticks(points: list[dict[str, Any]], latency: bool) -> list[float]:
    """Where the cost axis has its ticks: decades where it spans many, 1 and 3 of each where it spans few."""
    least, most = min(point["cost"] for point in points), max(point["cost"] for point in points)
    few = not latency or most / least < 1000
    ticks = [factor * 10.0**power for power in range(-2, 7) for factor in ((1, 3) if few else (1,))]
    if latency:
        return [round(tick, 3) for tick in ticks if least / 2 <= tick <= most * 2]
    return [0.0, *(tick for tick in ticks if 1 <= tick <= most * 1.2)]


_CHOSEN = {"best", "recommended"}
_TIPS = {"trial": "candidate", "shown": "quality [95%]", "measured": "on", "cost_shown": "cost", "standing": "standing"}


def _known(measured: Mapping[str, Any]) -> bool:
    """Whether value and interval are numbers that can be drawn; a verdict writes None for what is not finite."""
    return all(measured[key] is not None and math.isfinite(measured[key]) for key in ("value", "low", "high"))


def _latency(row: Mapping[str, Any]) -> float | None:
    p50 = (row.get("latency_ms") or {}).get("p50")
    return None if p50 is None or not math.isfinite(p50) else max(float(p50), 0.01)


def _adapt(row: Mapping[str, Any]) -> float | None:
    spent = row.get("adapt_seconds")
    return None if spent is None or not math.isfinite(spent) else float(spent)


def _point(
    row: Mapping[str, Any], cost: float, ranks: Mapping[str, int], verdict: Mapping[str, Any], scale: Scale
) -> dict[str, Any]:
    measured = row.get("test") or row["dev"]
    return {
        "trial": row["candidate"],
        "rank": str(ranks[row["candidate"]]),
        "family": words.FAMILIES.get(str(row["family"]), words.FAMILIES["yours"]),
        "cost": cost,
        "value": measured["value"] * scale.factor,
        "low": measured["low"] * scale.factor,
        "high": measured["high"] * scale.factor,
        "tested": bool(row.get("test")),
        "shown": scale.interval(measured),
        "measured": f"{'test' if row.get('test') else 'dev'}, {words.count(measured['n'], 'item')}",
        "cost_shown": words.milliseconds(_latency(row)) or words.seconds(_adapt(row)),
        "standing": words.standing(row, verdict),
    }


def _place_labels(points: list[dict[str, Any]], log_scale: bool, short: Callable[[str], str]) -> None:
    """Give every point its label: rank and name, right or left of it, where that covers nothing; else the rank.

    Greedy, most important first (the recommended, the best, then by rank), on the pixels of a drawing area of WIDTH x
    HEIGHT. In a narrower one the page shows ranks only.
    """
    xs, ys = _positions(points, log_scale)
    taken = [(xs[p["trial"]] - 6, xs[p["trial"]] + 6, ys[p["trial"]], p["trial"]) for p in points]
    for point in sorted(points, key=lambda p: (not _CHOSEN & set(p["standing"].split(", ")), int(p["rank"]))):
        trial, x, y = point["trial"], xs[point["trial"]], ys[point["trial"]]
        sides = ("left", "right") if x < 0.6 * WIDTH else ("right", "left")
        name = f"{point['rank']}  {_short(short(trial))}"
        point["label"], point["side"] = "", sides[0]
        for text, side in ((text, side) for text in (name, point["rank"]) for side in sides):
            length = 6.6 * len(text) + 12
            begin, end = (x + 4, x + length) if side == "left" else (x - length, x - 4)
            inside = begin > -20 and end < WIDTH + 20
            if inside and all(
                abs(y - at) > 17 or end < left or begin > right or of == trial for left, right, at, of in taken
            ):
                point["label"], point["side"] = text, side
                taken.append((begin, end, y, f"label of {trial}"))
                break


def _positions(points: Iterable[Mapping[str, Any]], log_scale: bool) -> tuple[dict[str, float], dict[str, float]]:
    def spread(values: dict[str, float], pixels: float) -> dict[str, float]:
        least, most = min(values.values()), max(values.values())
        return {key: pixels * (value - least) / ((most - least) or 1.0) for key, value in values.items()}

    bend = math.log if log_scale else math.log1p
    points = list(points)
    across = spread({p["trial"]: bend(p["cost"]) for p in points}, WIDTH)
    low, high = min(p["low"] for p in points), max(p["high"] for p in points)
    return across, {p["trial"]: HEIGHT * (p["value"] - low) / ((high - low) or 1.0) for p in points}


def _short(trial: str) -> str:
    return trial if len(trial) <= 44 else trial[:43] + "…"


def _label_layer(base: Any, y: Any, side: str) -> Any:
    """Labels that begin right of their point (`left` aligned) or end left of it; ranks only in a narrow drawing."""
    import altair as alt

    layer = base.transform_filter(f"datum.side == '{side}'").transform_calculate(
        text="width < 640 ? datum.rank : datum.label"
    )
    return layer.mark_text(align=side, dx=10 if side == "left" else -10, dy=-1, fontSize=12).encode(
        y=y, text=alt.Text("text:N")
    )


def _cost_reading(points: list[dict[str, Any]], rows: list[Any], latency: bool, scale: Scale, front: list[str]) -> str:
    way = "Up" if scale.higher_is_better else "Down"
    said = f"{way} and left is better: higher quality, lower cost."
    if not scale.higher_is_better:
        said = "Down and left is better: lower is better here, and so is lower cost."
    said += " Whiskers are 95% intervals."
    if not all(p["tested"] for p in points) and any(p["tested"] for p in points):
        said += " Hollow points were measured on dev only."
    if len(front) > 1:
        said += f" On the dotted line: no other is both better and cheaper than {words.listed(front)}."
    if any(p["strength"] < 1 for p in points):
        said += " Faded ones break a limit."
    missing = len(rows) - len(points)
    if missing:
        what = "latency" if latency else "time to adapt"
        left_out = "is left out" if missing == 1 else "are left out"
        said += f" {words.count(missing, 'candidate')} without a measured {what} {left_out}."
    return said + " Numbers are ranks in the table above."
