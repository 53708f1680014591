"""What would change the verdict: more items, and how many; another tolerance, and which; else another race."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..words import about, gap
from .cheaper import within_reason
from .which import more_items

if TYPE_CHECKING:
    from ..rule import Case


def what_would_change_it(case: Case) -> dict[str, Any] | None:
    """None where nothing is recommended."""
    if case.recommended is None:
        return None
    parts, items = [], None
    rival = next((c for c in case.comparisons if not c.shown), None)
    if rival is not None and rival.found.value > 1e-9:
        items = more_items(rival)
        seen = f"{rival.a} is better than {rival.b} by {gap(case, rival.found.value)}, as seen"
        parts.append(f"If {seen}, about {about(items or 0)} more items would show it.")
    elif rival is not None:
        parts.append(f"{rival.a} and {rival.b} have the same value here; other items may tell which is better.")
    if loosest := min(within_reason(case), key=lambda c: c.found.high, default=None):
        tolerance = gap(case, loosest.found.high, up=True)
        parts.append(f"With a tolerance of {tolerance}, {loosest.b} would be recommended.")
    if not parts:
        parts.append("More items will hardly change it; another model, more training data or other limits may.")
    return {"items": items, "sentence": " ".join(parts)}
