"""Everything else: how tuned roads learned, what the run was set to, what was noted and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ...log import Born, Left, RunLog, Trained
from .. import charts, questions, words
from ..words import Scale


def section(log: RunLog, verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """For rest.html."""
    return {
        "others": questions.others(verdict),
        "chart": charts.training(log),
        "curves": [_curve(event) for event in charts.newest_curves(log.of(Trained))],
        **_configuration(log),
    }


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
    # Pages are shared: where the task lies on this machine is nobody else's business.
    task = {key: value for key, value in log.started.task.items() if key != "folder"}
    return {
        "notes": words.notes(log),
        "blocks": [
            ("Task", _pretty(task)),
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


def _pretty(value: Mapping[str, Any] | Iterable[Any]) -> Any:
    """JSON for a `<pre>`, word for word: escaped here, so that nothing is shortened on the way."""
    from markupsafe import escape

    return escape(json.dumps(value, indent=2, ensure_ascii=False, default=str)) if value else ""
