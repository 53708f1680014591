"""Anything cheaper? Candidates that cost less than the recommended one and are not shown good enough, with what each
could lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...stats.power import items_needed
from ..results import rounded
from ..words import about, better_worse, times

if TYPE_CHECKING:
    from ..rule import Case, Comparison

SENSIBLE_TOLERANCE = 0.05
"""Of the metric's range; nobody wants to be told of a larger one."""


def anything_cheaper(case: Case) -> dict[str, Any] | None:
    """At most three, cheapest first: those that may be as good as the best, and those that are worse by a sensible
    tolerance at most."""
    said, listed = [], []
    for c in [c for c in case.cheaper if c.found.low <= 0 or c in within_reason(case)][:3]:
        worse = better_worse(case, -c.found.high, -c.found.low)
        dear, cheap = case.entries[case.recommended or c.a], case.entries[c.b]
        paid = (dear.usd_per_1k or 0.0, cheap.usd_per_1k or 0.0)
        factor = times(*paid) if any(paid) else times(dear.cost, cheap.cost)
        more = _more_items(case, c) if c.found.low <= 0 else 0
        would = f": about {about(more)} more {case.claim.split} items would tell" if more else ""
        base = "" if c.a == case.recommended else f" than {c.a}"
        said.append(f"{c.b} is {factor} and {worse}{base}{would}.")
        listed.append({"candidate": c.b, "low": rounded(-c.found.high), "high": rounded(-c.found.low), "items": more})
    return {"candidates": listed, "sentence": " ".join(said)} if said else None


def within_reason(case: Case) -> list[Comparison]:
    """Cheaper candidates that a sensible tolerance would let through."""
    scale = case.claim.scale
    return [c for c in case.cheaper if c.found.high < SENSIBLE_TOLERANCE * (scale.high - scale.low)]


def _more_items(case: Case, c: Comparison) -> int:
    """How many more items would show the cheaper one good enough, or worse, whichever is sooner, if it is as seen."""
    margin = max(case.tolerance - c.found.value, c.found.value)
    return max(1, items_needed(margin, c.found.discordance) - c.found.n) if margin > 1e-9 else 0
