"""What would change it? More test items, more training data, and whether the advice before the race was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...log import RunLog
from .. import charts, questions
from ..words import Scale


def section(log: RunLog, verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """For change.html."""
    answers = verdict.get("answers", {})
    more = answers.get("more_data") or {}
    return {
        "said": questions.sentences(answers.get("what_would_change_it")),
        "more": questions.sentences(more),
        "chart": charts.more_data(more, scale),
        "curves": [_curve(curve, scale) for curve in more.get("curves", ())],
        "advised": questions.sentences(answers.get("advised")),
    }


def _curve(curve: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    ahead = curve["next"]
    points = ", ".join(f"{p['examples']:,}: {scale.number(p['value'])}" for p in curve["points"])
    return {
        "trial": curve["candidate"],
        "points": points,
        "at": f"{ahead['examples']:,}",
        "next": scale.interval(ahead),
    }
