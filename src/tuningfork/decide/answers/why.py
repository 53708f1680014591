"""Why is it so? What each road alone gets right, classes, groups, confusions, calibration, what the probes found, and
labels that look wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..words import count, number
from .calibration import calibration
from .label_errors import label_errors
from .shares import by_class, by_group, compared, confusion, only_right

if TYPE_CHECKING:
    from ..rule import Case


def why(case: Case) -> dict[str, Any] | None:
    """None where nothing was measured."""
    trials = compared(case)
    if not trials:
        return None
    alone, errors = only_right(case), label_errors(case)
    found: dict[str, Any] = {
        "candidates": trials,
        "only_right": alone,
        "classes": by_class(case, trials),
        "groups": by_group(case, trials),
        "confusion": {"candidate": trials[0], "pairs": confusion(case, trials[0])},
        "calibration": [told for t in trials if (told := calibration(case, t))],
        "probes": _probes(case, trials),
        "label_errors": errors,
    }
    parts = [
        _alone(case, alone),
        _weakest(case, found["classes"], trials[0]),
        _confused(found),
        _suspected(case, errors),
    ]
    return {**found, "sentence": " ".join(filter(None, parts))}


def _alone(case: Case, alone: Sequence[Mapping[str, Any]]) -> str:
    if not any(entry["items"] for entry in alone):
        return ""
    said = [f"{entry['candidate']} {entry['items']}" for entry in alone]
    return f"Of {count(alone[0]['of'], f'{case.claim.split} item')}, right by one road only: {', '.join(said)}."


def _weakest(case: Case, classes: Sequence[Mapping[str, Any]], trial: str) -> str:
    """The class that the first one is weakest on, with its interval, where it has items enough."""
    own = [(entry, entry["by"][0]) for entry in classes if not entry["few"] and entry["by"][0]["value"] is not None]
    if not own:
        return ""
    entry, share = min(own, key=lambda pair: case.claim.scale.sign * pair[1]["value"])
    ends = f"95% between {number(case, share['low'])} and {number(case, share['high'])}, {count(share['n'], 'item')}"
    right = " right" if case.claim.scale.metric == "accuracy" else f" {case.claim.scale.metric}"
    return f"{trial} is weakest on {entry['name']}: {number(case, share['value'])}{right} ({ends})."


def _confused(found: Mapping[str, Any]) -> str:
    pairs = found["confusion"]["pairs"]
    if not pairs or pairs[0]["items"] < 3:
        return ""
    first = pairs[0]
    return f"Most often it says {first['said']} for {first['wanted']} ({count(first['items'], 'time')})."


def _suspected(case: Case, errors: Mapping[str, Any] | None) -> str:
    if not errors or not errors["suspected"]:
        return ""
    some = f"{count(errors['suspected'], 'label')} of {errors['looked_at']}"
    right = case.claim.interval(errors["candidate"])
    own = f", itself right on {number(case, right.value)}," if right and case.claim.scale.percent else ""
    return f"{some} may be wrong: {errors['candidate']}{own} never saw them and is surer of another."


def _probes(case: Case, trials: Sequence[str]) -> list[dict[str, Any]]:
    """What was measured beside quality of each candidate, flat."""
    return [
        {"candidate": t, "probe": probe, "values": dict(values)}
        for t in trials
        for probe, values in case.entries[t].probes.items()
        if values and probe not in ("latency", "size")
    ]
