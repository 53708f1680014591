"""How sure is that? Every candidate with its interval, the paired differences, what people said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...log import RunLog
from .. import questions, words
from ..bars import axis, bar, who
from ..words import Scale

FOLDED = 8
"""With more finalists than these the others are folded away, and all that were not in the final always."""


def section(log: RunLog, verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """For sure.html."""
    answers = verdict.get("answers", {})
    return {
        "said": questions.sentences(answers.get("which")),
        "power": [said for said in (questions.power(verdict, scale), questions.noise(verdict, scale)) if said],
        "board": _board(verdict, scale),
        "comparisons": _comparisons(verdict, scale),
        "people": _people(answers.get("people")),
    }


def _board(verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """Rows with their bars, and the ends of the axis that all bars share; what can wait is folded away."""
    leaderboard = verdict["leaderboard"]
    measured = [row.get("test") or row.get("dev") for row in leaderboard]
    low, high = axis([end for m in measured if m for end in (m["low"], m["high"])], scale)
    tested = any(row.get("test") for row in leaderboard)
    rows = []
    for rank, (row, m) in enumerate(zip(leaderboard, measured, strict=True), start=1):
        why, more = words.cut(str(row.get("why") or ""), 24, 140)
        rows.append(
            {
                **who(row, verdict),
                "rank": rank if m else "",
                "test": scale.interval(row.get("test")),
                "dev": scale.interval(row.get("dev")),
                "bar": bar(m["value"], m["low"], m["high"], low, high) if m else None,
                "filled": bool(row.get("test")) or not tested,
                "failed_items": row.get("failed_items") or 0,
                "standing": words.standing(row, verdict),
                "chosen": row["candidate"] == words.name_of(verdict.get("recommended")),
                "why": why,
                "more": more,
            }
        )
    shown = _shown(leaderboard, verdict)
    return {
        "tables": [
            {"fold": "", "rows": rows[:shown]},
            {"fold": f"{words.count(len(rows) - shown, 'more candidate')}, and why each went", "rows": rows[shown:]},
        ],
        "ends": (scale.number(low), scale.number(high)) if rows else ("", ""),
        "failures": any(row["failed_items"] for row in rows),
        "tested": tested,
    }


def _shown(leaderboard: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]) -> int:
    """How many rows stand open: the finalists, a few at most, and never one row without those marked."""
    chosen = {words.name_of(verdict.get(mark)) for mark in ("best", "recommended")}
    last = max((i for i, row in enumerate(leaderboard, start=1) if row["candidate"] in chosen), default=0)
    finalists = sum(row["status"] == "finalist" for row in leaderboard)
    wanted = max(last, min(FOLDED, finalists or FOLDED))
    return len(leaderboard) if len(leaderboard) - wanted < 2 else wanted


def _comparisons(verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """Paired differences, those of the best first; bars on one axis that always holds zero."""
    mine, others = words.comparisons_of_best(verdict)
    low, high = axis([0.0, *(end for c in (*mine, *others) for end in (c["low"], c["high"]))], None)

    def row(c: Mapping[str, Any], with_best: bool) -> dict[str, Any]:
        return {
            "who": c["b"] if with_best else f"{c['a']} against {c['b']}",
            "difference": scale.difference(c["difference"]),
            "between": f"{scale.number(c['low'])} and {scale.number(c['high'])}",
            "p": words.p_value(c.get("p_adjusted")),
            "n": c["n"],
            "shown": words.told_apart(c, verdict) if with_best else "",
            "bar": bar(c["difference"], c["low"], c["high"], low, high),
        }

    best = words.name_of(verdict.get("best"))
    first, pairs = [row(c, True) for c in mine], [row(c, False) for c in others]
    tables: list[dict[str, Any]] = [
        {"title": f"{best} against the others", "subject": best, "column": "against", "rows": first},
        {"title": "Other pairs", "subject": "the first of a pair", "column": "pair", "rows": pairs},
    ]
    return {
        "tables": [{**t, "open": t["rows"][:FOLDED], "folded": t["rows"][FOLDED:]} for t in tables if t["rows"]],
        "zero": (bar(0.0, 0.0, 0.0, low, high) or {})["value"],
        "ends": (scale.number(low, sign=True), scale.number(high, sign=True)),
    }


def _people(answer: Any) -> dict[str, Any] | None:
    """Ratings of people, a row a pair, the share that chose the first as a bar from 0 to 100%."""
    if not isinstance(answer, Mapping):
        return None
    rows = [
        {**pair, "bar": bar(pair["share"], pair["low"], pair["high"], 0.0, 1.0), "p": words.p_value(pair["p"])}
        for pair in answer.get("pairs", ())
    ]
    return {"said": questions.sentences(answer), "rows": rows}
