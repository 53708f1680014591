"""From which traffic on does the tuned model pay back?

    N* = (labels + training x (1 + re-tunings) + running x months) / (prompt - tuned, USD a request)

Over `months` (12 where the task file does not say). Labels are those that the tuned one needs beyond the prompt's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..results import rounded
from ..words import about, count, enumerated, usd
from .adapting import adapting, labels_used
from .serving import serving

if TYPE_CHECKING:
    from ..rule import Case

USUAL_MONTHS = 12.0
POINTS = 41


def payback(case: Case) -> dict[str, Any]:
    """The traffic a month from which the best tuned candidate is cheaper than the best prompt; empty where there are
    not both. With `points` for a chart where both roads' costs are known."""
    prompt, tune = case.families.get("prompt"), case.families.get("tune")
    if prompt is None or tune is None:
        return {}
    found: dict[str, Any] = {"prompt": prompt, "tune": tune}
    prompted, tuned = serving(case, prompt), serving(case, tune)
    if prompted.usd is None or tuned.usd is None:
        lacking = dict.fromkeys(s.missing for s in (prompted, tuned) if s.usd is None)
        said = f"From which traffic on tuning pays back can't be told without {enumerated(list(lacking))}."
        return {**found, "sentence": said}
    task = case.log.started.task
    costs: Mapping[str, Any] = task.get("costs") or {}
    monthly = (task.get("traffic") or {}).get("requests_per_month")
    months = float(costs.get("months", USUAL_MONTHS))
    fixed, left_out = _fixed(case, prompt, tune, costs, months)
    saved = prompted.usd - tuned.usd
    found |= {"fixed_usd": rounded(fixed), "saved_usd_per_1k": rounded(1000 * saved), "months": months}
    found["retunings"] = retunings(costs, months)
    found["requests_a_month"] = at = None if saved <= 0 else rounded(fixed / saved / months)
    found["sentence"] = _sentence(found, at, monthly, left_out)
    lines = {prompt: (0.0, prompted.usd), tune: (fixed, tuned.usd)}
    found["points"] = _points(lines, months, at, None if monthly is None else float(monthly))
    return found


def _fixed(case: Case, prompt: str, tune: str, costs: Mapping[str, Any], months: float) -> tuple[float, list[str]]:
    """What the tuned one costs before and beside its requests, in USD; and what could not be counted."""
    left_out = []
    labels = max(0, labels_used(case, tune) - labels_used(case, prompt))
    price, running = costs.get("usd_per_label"), costs.get("usd_per_month")
    if labels and price is None:
        left_out.append("labels")
    _, training = adapting(case, tune)
    if training is None:
        left_out.append("training")
    if running is None:
        left_out.append("running it")
    again = retunings(costs, months)
    return labels * float(price or 0) + (training or 0) * (1 + again) + float(running or 0) * months, left_out


def retunings(costs: Mapping[str, Any], months: float) -> int:
    """How often it is tuned again in that time, the first training not counted."""
    every = costs.get("retune_every_months")
    return max(0, math.ceil(months / float(every)) - 1) if every else 0


def _sentence(found: Mapping[str, Any], at: float | None, monthly: float | None, left_out: list[str]) -> str:
    prompt, tune = found["prompt"], found["tune"]
    if at is None:
        return f"By cost {tune} never pays back: a request to it costs no less than one to {prompt}."
    but = f" (without {enumerated(left_out)}, for which no price was given)" if left_out else ""
    again = f" with {count(found['retunings'], 're-tuning')}" if found["retunings"] else ""
    period = f"{found['months']:g} months{again}"
    if at == 0:
        return f"{tune} is cheaper than {prompt} from the first request on{but}."
    said = f"Over {period} {tune} pays back from about {about(at)} requests a month on, against {prompt}{but}"
    if monthly is None:
        return f"{said}. Give traffic: requests_per_month to see where you stand."
    ahead = abs(found["saved_usd_per_1k"] / 1000 * monthly * found["months"] - found["fixed_usd"])
    side = "it saves" if monthly > at else "it loses"
    return f"{said}. At your {about(monthly)} a month {side} {usd(ahead)} in that time."


def _points(
    lines: Mapping[str, tuple[float, float]], months: float, at: float | None, monthly: float | None
) -> list[dict[str, Any]]:
    """Total cost of each road over the period, by requests a month: evenly on a log scale around what matters."""
    middle = [value for value in (at, monthly) if value]
    low, high = (min(middle) / 30, max(middle) * 30) if middle else (100.0, 1e6)
    steps = [low * (high / low) ** (step / (POINTS - 1)) for step in range(POINTS)]
    return [
        {"candidate": trial, "requests_a_month": rounded(n), "usd": rounded(fixed + each * n * months)}
        for trial, (fixed, each) in lines.items()
        for n in steps
    ]
