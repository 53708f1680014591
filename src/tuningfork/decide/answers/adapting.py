"""What it took to make a candidate: labelled examples, seconds, USD."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..rule import Case


LEARNED = ("adapter", "head", "calibration", "shots")
"""Parts of a candidate that come from labelled examples."""


def labels_used(case: Case, trial: str) -> int:
    """Labelled examples that a candidate, as it stands, learned from or was chosen on; 0 for a bare prompt, which was
    given them and keeps nothing of them."""
    born = case.log.born(trial)
    if born is None or (born.data.get("type") == "single" and not any(born.data.get(part) for part in LEARNED)):
        return 0
    return born.examples_used + born.examples_chosen_on


def labels_in(case: Case, trial: str) -> int:
    """Labelled examples that must be there for it: a fixed number of demonstrations, else all that it used."""
    born = case.log.born(trial)
    shots = born.data.get("shots") if born else None
    if born and isinstance(shots, list | tuple) and not any(born.data.get(part) for part in ("adapter", "head")):
        return len(shots)
    return labels_used(case, trial)


def adapting(case: Case, trial: str) -> tuple[float, float | None]:
    """Seconds and USD that it takes to adapt it once; USD is None on hardware without a price."""
    born = case.log.born(trial)
    if born is None:
        return 0.0, 0.0
    seconds, charged = float(born.seconds), float(born.usage.get("usd", 0.0))
    hourly = (case.log.started.task.get("costs") or {}).get("usd_per_hour")
    if charged or seconds < 0.1:
        return seconds, charged
    return seconds, None if hourly is None else float(hourly) / 3600 * seconds
