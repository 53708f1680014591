"""Was the advice before the race right? What was said from the data alone, beside what the race found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..advise import noted

if TYPE_CHECKING:
    from ..rule import Case

ROADS = {"prompt": "prompting", "tune": "fine-tuning"}


def advised(case: Case) -> dict[str, Any] | None:
    """None where nothing was advised. `right` is None where the race could not tell."""
    found = noted(case.log.started.notes)
    if found is None:
        return None
    road, said = found
    winner = _winner(case)
    right = None if winner is None or road == "race" else winner == road
    return {"road": road, "found": winner, "right": right, "sentence": f"{_judged(road, winner)} It was: {said}"}


def _winner(case: Case) -> str | None:
    """The road that is shown better."""
    roads = {case.families.get("prompt"): "prompt", case.families.get("tune"): "tune"}
    pair = sorted((t for t in roads if t), key=case.ranked.index)
    c = case.compare(pair[0], pair[1]) if len(pair) == 2 else None
    return roads[pair[0]] if c and c.found.low > 0 and c.found.p < 0.05 else None


def _judged(road: str, winner: str | None) -> str:
    if winner is None:
        return "Whether the advice before the race was right is not told: the race did not tell the two roads apart."
    if road == "race":
        return f"The advice before the race left it open; the race shows {ROADS[winner]} ahead."
    if road == winner:
        return f"The advice before the race was right: the race shows {ROADS[winner]} ahead."
    return f"The advice before the race was wrong: it said {ROADS[road]}, and the race shows {ROADS[winner]} ahead."
