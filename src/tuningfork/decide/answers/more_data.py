"""What would more data change? Learning curves of the race, one doubling ahead, and where tuning overtakes prompting.

A curve is what a candidate reached on dev after learning from a part of the examples (the log's rungs) and from all of
them. Further than one doubling no curve is to be trusted (`stats.curves`). A road that learns from nothing is level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...log import Rung
from ...stats.curves import Forecast, advantage, crossover, forecast
from ..results import rounded
from ..words import about, number
from .adapting import labels_used

if TYPE_CHECKING:
    from ..rule import Case

Points = list[tuple[int, float]]
FEWEST_SIZES = 2
LONGER = {"light": "medium", "medium": "heavy"}


def more_data(case: Case) -> dict[str, Any] | None:
    """The curves with their next doubling, the crossing, and what a prompt is worth in labelled examples."""
    if not case.entries:
        return None
    all_points = {trial: _points(case, trial) for trial in dict.fromkeys(e.trial for e in case.log.of(Rung))}
    curves = {trial: points for trial, points in all_points.items() if len({n for n, _ in points}) >= FEWEST_SIZES}
    if not curves:
        return {"curves": [], "sentence": _too_short(case)}
    best = min(curves, key=lambda t: case.ranked.index(t) if t in case.ranked else math.inf)
    shown = [_curve(case, trial, points) for trial, points in curves.items()]
    pair = _pair(case, curves)
    found: dict[str, Any] = {"curves": shown, **pair}
    parts = [_doubling(case, best, curves[best]), str(found.pop("said", ""))]
    return {**found, "sentence": " ".join(filter(None, parts))}


def _points(case: Case, trial: str) -> Points:
    """(examples, value with higher better), also the whole of train, where the race measured that on dev."""
    sign = case.claim.scale.sign
    points = [(e.examples, sign * e.value) for e in case.log.of(Rung) if e.trial == trial]
    born, whole = case.log.born(trial, "race"), case.dev.interval(trial)
    if born and whole:
        points.append((born.examples_used, sign * whole.value))
    return sorted(points)


def _bounds(case: Case) -> tuple[float, float]:
    scale = case.claim.scale
    return (scale.low, scale.high) if scale.higher_is_better else (-scale.high, -scale.low)


def _error(case: Case, trial: str) -> float:
    """Standard error that a value has from the dev items."""
    found = case.dev.interval(trial)
    return (found.high - found.low) / 3.92 if found else 0.0


def _next(case: Case, trial: str, points: Points) -> Forecast:
    return forecast(points, 2 * max(n for n, _ in points), bounds=_bounds(case), error=_error(case, trial))


def _ends(case: Case, found: Forecast) -> tuple[float, float, float]:
    """Value, low and high in the metric's own direction."""
    sign = case.claim.scale.sign
    low, high = sorted((sign * found.low, sign * found.high))
    return sign * found.value, low, high


def _curve(case: Case, trial: str, points: Points) -> dict[str, Any]:
    ahead, sign = _next(case, trial, points), case.claim.scale.sign
    value, low, high = (rounded(end) for end in _ends(case, ahead))
    return {
        "candidate": trial,
        "family": case.entries[trial].family if trial in case.entries else "",
        "points": [{"examples": n, "value": rounded(sign * v)} for n, v in points],
        "next": {"examples": ahead.at, "value": value, "low": low, "high": high},
    }


def _doubling(case: Case, trial: str, points: Points) -> str:
    most = max(n for n, _ in points)
    now = case.claim.scale.sign * sum(v for n, v in points if n == most) / sum(n == most for n, _ in points)
    value, low, high = _ends(case, _next(case, trial, points))
    return (
        f"With twice the examples ({2 * most:,} instead of {most:,}) {trial} would go from {number(case, now)} on dev"
        f" to about {number(case, value)} (95% between {number(case, low)} and {number(case, high)})."
    )


def _pair(case: Case, curves: dict[str, Points]) -> dict[str, Any]:
    """Where the tuned road overtakes the prompt, and how many labelled examples the prompt saves."""
    tune = _of_family(case, "tune", curves)
    prompt = _of_family(case, "prompt", curves) or case.families.get("prompt")
    if tune is None or prompt is None:
        return {}
    tuned = curves[tune]
    asked = curves.get(prompt) or _level(case, prompt, tuned)
    if not asked:
        return {}
    error = math.hypot(_error(case, tune), _error(case, prompt))
    crossing = crossover(asked, tuned, bounds=_bounds(case), error=error)
    worth = advantage(asked, tuned)
    found: dict[str, Any] = {"prompt": prompt, "tune": tune, "crossover": None, "prompt_is_worth": None}
    if crossing:
        low, middle, high = (rounded(end) if math.isfinite(end) else None for end in crossing)
        found["crossover"] = {"low": low, "examples": middle, "high": high}
    if worth is not None:
        found["prompt_is_worth"] = rounded(worth)
    return {**found, "said": _overtaking(case, found, asked, tuned)}


def _overtaking(case: Case, found: dict[str, Any], asked: Points, tuned: Points) -> str:
    prompt, tune, crossing, worth = (found[k] for k in ("prompt", "tune", "crossover", "prompt_is_worth"))
    ahead_at_last = max(tuned)[1] > max(asked)[1]
    if crossing:
        first, other = (
            (tune, prompt) if max(tuned)[1] - min(tuned)[1] > max(asked)[1] - min(asked)[1] else (prompt, tune)
        )
        end = "more than the curves tell" if crossing["high"] is None else about(crossing["high"])
        said = f"{first} overtakes {other} at about {about(crossing['examples'])} examples"
        said += f" (between {about(crossing['low'])} and {end})."
    else:
        side = f"{tune} is ahead of {prompt}" if ahead_at_last else f"{prompt} is ahead of {tune}"
        said = f"No crossing is in sight: {side} over all that the curves tell."
    if worth is not None and worth > 0:
        said += f" The prompt is worth about {about(worth)} labelled examples: so many fewer bring it as far."
    return said


def _of_family(case: Case, family: str, curves: dict[str, Points]) -> str | None:
    """The best of a family that has a curve."""
    able = [t for t in curves if t in case.entries and case.entries[t].family == family]
    return min(able, key=lambda t: case.ranked.index(t) if t in case.ranked else math.inf, default=None)


def _level(case: Case, trial: str, other: Sequence[tuple[int, float]]) -> Points:
    """A road without rungs that learns from nothing: the same at every size. Empty for one that does learn."""
    born, whole = case.log.born(trial, "race"), case.dev.interval(trial)
    if born is None or whole is None or labels_used(case, trial):
        return []
    return [(n, case.claim.scale.sign * whole.value) for n in sorted({n for n, _ in other})]


def _too_short(case: Case) -> str:
    budget = (case.log.started.plan.get("budget") or {}).get("name")
    longer = LONGER.get(str(budget), "")
    more = f"--budget {longer} has time for it" if longer else "a larger --budget has time for it"
    return f"Not told: no road was adapted on parts of the examples, so there is no learning curve; {more}."
