"""What does it cost? Latency, adapting, labels and money of each candidate; when tuning pays back; which meet the
limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...log import RunLog
from .. import charts, questions, words
from ..bars import who
from ..words import Scale


def section(log: RunLog, verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """For cost.html."""
    answers = verdict.get("answers", {})
    answer = answers.get("cost") or {}
    paid = answer.get("payback") or {}
    monthly = (log.started.task.get("traffic") or {}).get("requests_per_month")
    rows = _rows(verdict, scale, {row["candidate"]: row for row in answer.get("rows", ())})
    return {
        "said": questions.sentences(answer),
        "chart": charts.quality_cost(verdict, scale),
        "rows": rows,
        "columns": [(key, title) for key, title in COLUMNS if any(row[key] for row in rows)],
        "payback": charts.payback(paid, monthly),
        "payback_rows": _payback_rows(paid),
        "limits": _limits(verdict, answers.get("limits")),
    }


COLUMNS = (
    ("p50", "p50"),
    ("p95", "p95"),
    ("adapt", "adapt"),
    ("size", "own weights"),
    ("labels", "labels"),
    ("labels_usd", "labels cost"),
    ("adapt_usd", "adapting costs"),
    ("usd", "1,000 requests"),
    ("month", "a month"),
    ("tokens", "tokens read"),
    ("reworded", "reworded"),
    ("forgot", "forgot"),
)
"""Those that no candidate has a value for are left out."""


def _rows(verdict: Mapping[str, Any], scale: Scale, costs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for row in verdict["leaderboard"]:
        latency, tokens = row.get("latency_ms") or {}, row.get("tokens") or {}
        of = costs.get(row["candidate"], {})
        size = words.size(row.get("bytes"))
        rows.append(
            {
                **who(row, verdict),
                "quality": scale.interval(row.get("test") or row.get("dev")),
                "p50": words.milliseconds(latency.get("p50")),
                "p95": words.milliseconds(latency.get("p95")),
                "adapt": words.seconds(row.get("adapt_seconds")),
                "size": "" if size == "-" else size,
                "labels": f"{of['labels']:,}" if of else "",
                "labels_usd": words.usd(of.get("labels_usd")),
                "adapt_usd": words.usd(of.get("adapt_usd")),
                "usd": words.usd(of.get("usd_per_1k", row.get("usd_per_1k"))),
                "month": words.usd(of.get("usd_a_month")),
                "tokens": f"{round(tokens.get('in', 0)):,}" if tokens.get("in") else "",
                "reworded": words.reworded((row.get("probes") or {}).get("consistency") or {}, scale),
                "forgot": words.forgotten((row.get("probes") or {}).get("forgetting") or {}),
            }
        )
    return [row for row in rows if row["quality"]] or rows


def _payback_rows(paid: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every tenth point of the chart, both roads side by side."""
    by_trial: dict[str, list[Mapping[str, Any]]] = {}
    for point in paid.get("points", ()):
        by_trial.setdefault(point["candidate"], []).append(point)
    if len(by_trial) != 2:
        return []
    pairs = list(zip(by_trial[paid["prompt"]], by_trial[paid["tune"]], strict=True))[::10]
    return [
        {
            "requests": words.about(p["requests_a_month"]),
            "prompt": words.usd(p["usd"]),
            "tune": words.usd(t["usd"]),
        }
        for p, t in pairs
    ]


def _limits(verdict: Mapping[str, Any], answer: Any) -> dict[str, Any] | None:
    """A row a candidate, a column a limit."""
    if not isinstance(answer, Mapping):
        return None
    checks: Mapping[str, list[Mapping[str, Any]]] = answer.get("checks", {})
    names = list(dict.fromkeys(check["limit"] for of in checks.values() for check in of))
    marks = {True: "✓", False: "✗", None: "?"}
    rows = [
        {
            "trial": trial,
            "feasible": trial in answer.get("feasible", ()),
            "cells": [{"mark": marks[check["met"]], "met": check["met"], "said": check["said"]} for check in of],
        }
        for trial, of in checks.items()
    ]
    return {"said": questions.sentences(answer), "names": names, "rows": rows if names else []}
