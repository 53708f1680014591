"""The report: one HTML file that needs nothing else, no network and no server.

The template `page.html` holds all of the looks; this file lays out what it shows. Interval bars are plain HTML, so that
they stand without JavaScript and on paper; the charts are Vega-Lite, with one copy of its JavaScript in the page. All
text of users goes through Jinja's escaping, and what stands in a script goes through `json_in_script`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..log import Born, Left, RunLog, Trained
from . import charts, words
from .disagree import disagreements
from .words import Scale

OUTCOMES: Mapping[str, str] = {"clear": "Clear", "close": "Close", "none": "No winner"}


def write_html(log: RunLog, verdict: Mapping[str, Any], path: Path) -> None:
    """Write the report of a run to `path`, whole or not at all. `verdict` is in its `to_dict` form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(page(log, verdict).encode("utf-8", "replace"))
    os.replace(part, path)


def page(log: RunLog, verdict: Mapping[str, Any]) -> str:
    """The report as one text."""
    from jinja2 import Environment

    scale = words.scale_of(log, verdict)
    cost, curve = charts.quality_cost(verdict, scale), charts.curves(log)
    drawn = {"cost": cost, "curves": curve}
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["json_in_script"] = json_in_script
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    split, examples = disagreements(log, verdict, scale)
    return template.render(
        verdict=verdict,
        outcome=OUTCOMES.get(str(verdict["outcome"]), str(verdict["outcome"])),
        facts=_facts(log, verdict),
        cards=_cards(verdict, scale),
        metric=scale.metric + (", %" if scale.percent else ""),
        leaderboard=_leaderboard(verdict, scale),
        comparisons=_comparisons(verdict, scale),
        answers=words.answers(verdict, scale),
        cost=cost,
        costs=_costs(verdict, scale),
        split=split,
        examples=examples,
        curve=curve,
        curves=[_curve(event) for event in charts.newest_curves(log.of(Trained))],
        configuration=_configuration(log),
        charts={name: chart.spec for name, chart in drawn.items() if chart},
        javascript=_javascript() if any(drawn.values()) else "",
    )


def json_in_script(value: Any) -> Any:
    """JSON that can stand in a `<script>`: nothing in it can end the script or begin a comment or tag there."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=True, default=str)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@cache
def _javascript() -> Any:
    """Vega, Vega-Lite and Vega-Embed as one script, of the version that the charts are written in; takes a second."""
    import altair
    from markupsafe import Markup
    from vl_convert import javascript_bundle

    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return Markup(javascript_bundle("window.vegaEmbed = vegaEmbed;", version).replace("</script", "<\\/script"))


def _facts(log: RunLog, verdict: Mapping[str, Any]) -> list[str]:
    """What stands under the title: the measure, how many items, what it took, when."""
    tested = [row["test"]["n"] for row in verdict["leaderboard"] if row.get("test")]
    looks = verdict.get("test_looks", 0)
    budget = verdict["budget"]
    spent = words.seconds(budget.get("spent_seconds"))
    return [
        str(verdict["metric"]) + ("" if verdict["higher_is_better"] else " (lower is better)"),
        f"{words.count(max(tested), 'test example')}, opened {words.times(looks)}" if tested else "no test opened",
        words.count(len(verdict["leaderboard"]), "candidate"),
        f"{spent} of {words.seconds(budget['seconds'])} spent" if budget.get("seconds") else f"{spent} spent",
        log.started.time[:16].replace("T", " "),
    ]


def _cards(verdict: Mapping[str, Any], scale: Scale) -> list[dict[str, Any]]:
    """The recommended and the best; one card where they are the same."""
    best, recommended = (words.name_of(verdict.get(mark)) for mark in ("best", "recommended"))
    named = (
        [("Recommended, and the best", best)] if best == recommended else [("Recommended", recommended), ("Best", best)]
    )
    cards = []
    for title, trial in named:
        row = words.row_of(verdict, trial)
        if row is None:
            continue
        measured = row.get("test") or row.get("dev")
        facts = [
            ("latency, median", words.milliseconds((row.get("latency_ms") or {}).get("p50"))),
            ("time to adapt", words.seconds(row.get("adapt_seconds"))),
            ("own weights", words.size(row.get("bytes"))),
        ]
        cards.append(
            {
                "title": title,
                **_who(row, verdict),
                "value": scale.value(measured["value"]) if measured else "",
                "between": f"95% between {scale.number(measured['low'])} and {scale.number(measured['high'])}"
                if measured
                else "",
                "where": "test" if row.get("test") else "dev",
                "facts": [(name, value) for name, value in facts if value and value != "-"],
            }
        )
    return cards


def _who(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
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
        "colour": charts.FAMILY_COLOURS[family],
        "shape": charts.FAMILY_SHAPES[family],
    }


def _leaderboard(verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """Rows with their bars, and the ends of the axis that all bars share."""
    measured = [row.get("test") or row.get("dev") for row in verdict["leaderboard"]]
    low, high = _axis([end for m in measured if m for end in (m["low"], m["high"])], scale)
    tested = any(row.get("test") for row in verdict["leaderboard"])
    rows = []
    for rank, (row, m) in enumerate(zip(verdict["leaderboard"], measured, strict=True), start=1):
        why, more = words.cut(str(row.get("why") or ""), 24, 140)
        rows.append(
            {
                **_who(row, verdict),
                "rank": rank if m else "",
                "test": scale.interval(row.get("test")),
                "dev": scale.interval(row.get("dev")),
                "bar": _bar(m["value"], m["low"], m["high"], low, high) if m else None,
                "filled": bool(row.get("test")) or not tested,
                "failed_items": row.get("failed_items") or 0,
                "standing": words.standing(row, verdict),
                "chosen": row["candidate"] == words.name_of(verdict.get("recommended")),
                "why": why,
                "more": more,
            }
        )
    ends = (scale.number(low), scale.number(high)) if rows else ("", "")
    return {
        "rows": rows,
        "ends": ends,
        "failures": any(row["failed_items"] for row in rows),
        "tested": tested,
    }


def _comparisons(verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """Paired differences, those of the best first; bars on one axis that always holds zero."""
    mine, others = words.comparisons_of_best(verdict)
    low, high = _axis([0.0, *(end for c in (*mine, *others) for end in (c["low"], c["high"]))], None)

    def row(c: Mapping[str, Any], with_best: bool) -> dict[str, Any]:
        return {
            "who": c["b"] if with_best else f"{c['a']} against {c['b']}",
            "difference": scale.difference(c["difference"]),
            "between": f"{scale.number(c['low'])} and {scale.number(c['high'])}",
            "p": words.p_value(c.get("p_adjusted")),
            "n": c["n"],
            "shown": words.told_apart(c, verdict) if with_best else "",
            "bar": _bar(c["difference"], c["low"], c["high"], low, high),
        }

    best = words.name_of(verdict.get("best"))
    tables: list[dict[str, Any]] = [
        {
            "title": f"{best} against the others",
            "subject": best,
            "column": "against",
            "rows": [row(c, True) for c in mine],
        },
        {
            "title": "Other pairs",
            "subject": "the first of a pair",
            "column": "pair",
            "rows": [row(c, False) for c in others],
        },
    ]
    return {
        "tables": [table for table in tables if table["rows"]],
        "zero": (_bar(0.0, 0.0, 0.0, low, high) or {})["value"],
        "ends": (scale.number(low, sign=True), scale.number(high, sign=True)),
    }


def _axis(ends: list[float | None], scale: Scale | None) -> tuple[float, float]:
    """Round ends of an axis that holds all finite `ends`, and goes never beyond what the metric can reach."""
    finite = [end for end in ends if end is not None and math.isfinite(end)] or [0.0, 1.0]
    span = max(finite) - min(finite) or 0.01
    rough = 10.0 ** math.floor(math.log10(span / 8))
    step = next(rough * factor for factor in (1, 2, 5, 10) if span / (rough * factor) <= 12)
    low, high = math.floor(min(finite) / step) * step, math.ceil(max(finite) / step) * step
    return (max(low, scale.low), min(high, scale.high)) if scale else (low, high)


def _bar(
    value: float | None, low: float | None, high: float | None, axis_low: float, axis_high: float
) -> dict[str, float] | None:
    """Positions in percent of the axis; None where one is unknown, so that nothing is drawn."""
    if value is None or low is None or high is None or not all(map(math.isfinite, (value, low, high))):
        return None

    def at(number: float) -> float:
        return round(min(100.0, max(0.0, 100 * (number - axis_low) / ((axis_high - axis_low) or 1.0))), 2)

    return {"value": at(value), "low": at(low), "width": round(at(high) - at(low), 2)}


def _costs(verdict: Mapping[str, Any], scale: Scale) -> list[dict[str, Any]]:
    rows = []
    for row in verdict["leaderboard"]:
        latency, tokens = row.get("latency_ms") or {}, row.get("tokens") or {}
        usd = row.get("usd_per_1k")
        rows.append(
            {
                **_who(row, verdict),
                "quality": scale.interval(row.get("test") or row.get("dev")),
                "p50": words.milliseconds(latency.get("p50")),
                "p95": words.milliseconds(latency.get("p95")),
                "adapt": words.seconds(row.get("adapt_seconds")),
                "size": words.size(row.get("bytes")),
                "tokens": f"{round(tokens.get('in', 0)):,}" if tokens.get("in") else "",
                "usd": "" if usd is None else f"{usd:.3g}",
                "reworded": words.reworded((row.get("probes") or {}).get("consistency") or {}, scale),
                "forgot": words.forgotten((row.get("probes") or {}).get("forgetting") or {}),
            }
        )
    return rows


def _curve(event: Trained) -> dict[str, Any]:
    """One tuning's numbers for the table under the chart."""
    held = [point for point in event.curve if point.get("hold_nats") is not None]
    best = min(held, key=lambda point: point["hold_nats"]) if held else None
    last = event.curve[-1]
    return {
        "trial": event.trial,
        "steps": last.get("step", ""),
        "train": f"{last['train_nats']:.3f}" if last.get("train_nats") is not None else "",
        "best": f"{best['hold_nats']:.3f} at step {best.get('step', '?')}" if best else "",
        "seconds": words.seconds(last.get("seconds")),
        "why": event.why_stopped,
        "recipe": words.settings_line(event.recipe),
    }


def _configuration(log: RunLog) -> dict[str, Any]:
    """All that the run was set to, from the log alone."""
    plan = {key: value for key, value in log.started.plan.items() if key != "trials"}
    return {
        "notes": words.notes(log),
        "blocks": [
            ("Task", _pretty(log.started.task)),
            ("Plan", _pretty(plan)),
            ("Environment", _pretty(log.started.environment)),
            ("Prices", _pretty(log.started.prices)),
        ],
        "planned": [dict(trial) for trial in log.started.plan.get("trials", ()) if isinstance(trial, Mapping)],
        "born": [{**asdict(event), "settings": words.settings_line(event.settings)} for event in log.of(Born)],
        "failures": [event for event in log.of(Left) if event.detail],
        "metrics": ", ".join(str(metric["name"]) for metric in log.started.metrics),
        "folder": str(log.folder),
    }


def _pretty(value: Mapping[str, Any] | Iterable[Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) if value else ""
