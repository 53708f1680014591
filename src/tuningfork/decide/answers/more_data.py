"""What would more data change? Learning curves of the race, one doubling ahead, and where tuning overtakes prompting.

A curve is what a candidate reached on dev after learning from a part of the examples (the log's rungs) and from all of
them. Further than one doubling no curve is to be trusted (`stats.curves`). A prompt without a curve is taken as level,
at what it reached with all examples to draw demonstrations from, and the sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...log import Rung
from ...stats.curves import Forecast, advantage, crossover, forecast
from ...stats.intervals import Interval, mean_interval
from ..results import rounded
from ..words import about, number
from .adapting import labels_in

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
    born, whole = case.log.born(trial, "race"), _on_dev(case, trial)
    if born and whole:
        points.append((born.examples_used, sign * whole.value))
    return sorted(points)


def _on_dev(case: Case, trial: str) -> Interval | None:
    """The mean of a trial's item scores on dev: what rungs are, also where the metric is no mean of items."""
    scores = [row.score for row in case.dev.rows.get(trial, {}).values() if row.score is not None]
    scale = case.claim.scale
    return mean_interval(scores, bounds=(min([scale.low, *scores]), max([scale.high, *scores]))) if scores else None


def _bounds(case: Case) -> tuple[float, float]:
    scale = case.claim.scale
    return (scale.low, scale.high) if scale.higher_is_better else (-scale.high, -scale.low)


def _error(case: Case, trial: str) -> float:
    """Standard error that a value has from the dev items."""
    found = _on_dev(case, trial)
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
    tuned, curve = curves[tune], curves.get(prompt)
    asked = curve or _level(case, prompt, tuned)
    if not asked:
        return {}
    error = math.hypot(_error(case, tune), _error(case, prompt))
    crossing = crossover(asked, tuned, bounds=_bounds(case), error=error)
    found: dict[str, Any] = {"prompt": prompt, "tune": tune, "crossover": None, "level": curve is None}
    if crossing:
        low, middle, high = (rounded(end) if math.isfinite(end) else None for end in crossing)
        found["crossover"] = {"low": low, "examples": middle, "high": high}
    found["prompt_is_worth"] = _worth(case, prompt, curve, tuned)
    said = [_overtaking(found, asked, tuned), _in_examples(found)]
    return {**found, "said": " ".join(filter(None, said))}


def _worth(case: Case, prompt: str, curve: Points | None, tuned: Points) -> dict[str, float | None] | None:
    """How many examples fewer the prompt needs, and that at both ends of its interval on dev; an end is None where the
    tuned road does not reach it. None where it does not reach the prompt at all."""
    if curve:
        examples = advantage(curve, tuned)
        return None if examples is None else {"examples": rounded(examples), "low": None, "high": None}
    whole, used = _on_dev(case, prompt), labels_in(case, prompt)
    if whole is None:
        return None
    sign = case.claim.scale.sign
    ends = sorted((sign * whole.low, sign * whole.high))
    low, examples, high = (advantage([(used, value)], tuned) for value in (ends[0], sign * whole.value, ends[1]))
    if examples is None:
        return None
    told = {"low": low, "examples": examples, "high": high}
    return {key: None if end is None else rounded(end) for key, end in told.items()}


def _overtaking(found: dict[str, Any], asked: Points, tuned: Points) -> str:
    prompt, tune, crossing = found["prompt"], found["tune"], found["crossover"]
    as_it_stands = ", taken as it stands with all examples," if found["level"] else ""
    if not crossing:
        ahead = max(tuned)[1] > max(asked)[1]
        side = f"{tune} is ahead of {prompt}" if ahead else f"{prompt} is ahead of {tune}"
        return f"No crossing is in sight: {side}{as_it_stands} over all that the curves tell."
    first, other = (tune, prompt) if min(tuned)[1] < min(asked)[1] else (prompt, tune)
    end = "more than the curves tell" if crossing["high"] is None else about(crossing["high"])
    between = f"between {about(crossing['low'])} and {end}"
    return f"{first} overtakes {other}{as_it_stands} at about {about(crossing['examples'])} examples (95% {between})."


def _in_examples(found: dict[str, Any]) -> str:
    """What the prompt is worth, where that is a gain."""
    worth = found["prompt_is_worth"]
    if worth is None or worth["examples"] < 1:
        return ""
    ends = [about(worth[key]) if worth[key] is not None else "an unknown number" for key in ("low", "high")]
    between = f" (95% between {' and '.join(ends)})" if found["level"] else ""
    return (
        f"The prompt is worth about {about(worth['examples'])} labelled examples{between}: so many more tuning needs."
    )


def _of_family(case: Case, family: str, curves: dict[str, Points]) -> str | None:
    """The best of a family that has a curve."""
    able = [t for t in curves if t in case.entries and case.entries[t].family == family]
    return min(able, key=lambda t: case.ranked.index(t) if t in case.ranked else math.inf, default=None)


def _level(case: Case, trial: str, other: Sequence[tuple[int, float]]) -> Points:
    """A prompt without a curve: the same at every size. Empty where it was not measured on dev."""
    whole = case.dev.interval(trial)
    if whole is None:
        return []
    return [(n, case.claim.scale.sign * whole.value) for n in sorted({n for n, _ in other})]


def _too_short(case: Case) -> str:
    if case.log.started.plan.get("folds"):
        return "Not told: examples are so few that each was needed to learn from or to measure on, none to leave out."
    budget = (case.log.started.plan.get("budget") or {}).get("name")
    longer = LONGER.get(str(budget), "")
    more = f"--budget {longer} has time for it" if longer else "a larger --budget has time for it"
    return f"Not told: no road was adapted on parts of the examples, so there is no learning curve; {more}."
