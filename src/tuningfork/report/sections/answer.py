"""The answer: what to use, in a sentence and on a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...log import RunLog
from .. import questions, words
from ..bars import who
from ..words import Scale

OUTCOMES: Mapping[str, str] = {"clear": "Clear", "close": "Too close to call", "none": "No winner"}


def section(log: RunLog, verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """For answer.html."""
    answers = verdict.get("answers", {})
    return {
        "outcome": OUTCOMES.get(str(verdict["outcome"]), str(verdict["outcome"])),
        "facts": _facts(log, verdict),
        "cards": _cards(verdict, scale),
        "prompt_or_tune": questions.sentences(answers.get("prompt_or_tune")),
        "cheaper": questions.sentences(answers.get("anything_cheaper")),
    }


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
    found = [(title, words.row_of(verdict, trial)) for title, trial in named]
    return [_card(title, row, verdict, scale) for title, row in found if row is not None]


def _card(title: str, row: Mapping[str, Any], verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    measured, latency = row.get("test") or row.get("dev"), row.get("latency_ms") or {}
    p95 = words.milliseconds(latency.get("p95"))
    slow = f", 95% within {p95}" if p95 else ""
    usd = row.get("usd_per_1k")
    facts = [
        ("latency", words.milliseconds(latency.get("p50")) + slow if latency else ""),
        ("time to adapt", words.seconds(row.get("adapt_seconds"))),
        ("own weights", words.size(row.get("bytes"))),
        ("1,000 requests", words.usd(usd)),
    ]
    between = measured and f"95% between {scale.number(measured['low'])} and {scale.number(measured['high'])}"
    return {
        "title": title,
        **who(row, verdict),
        "value": scale.value(measured["value"]) if measured else "",
        "between": between or "",
        "where": "test" if row.get("test") else "dev",
        "facts": [(name, value) for name, value in facts if value and value != "-"],
    }
