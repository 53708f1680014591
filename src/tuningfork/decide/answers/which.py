"""Which, and how sure? Every measured candidate with its interval, and whether the best is shown better than it.

Two candidates that are not told apart are "too close to call", with how many more items would settle it if the
difference is what was seen; they are never called equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...stats.power import items_needed
from ..results import rounded
from ..words import FEW_TO_TELL, about, better_worse, count, enumerated, interval, measured, unfinished

if TYPE_CHECKING:
    from ..rule import Case, Comparison

NAMED = 3


def which(case: Case) -> dict[str, Any] | None:
    """A sentence, and a row for each candidate that the claim is made about."""
    if case.best is None:
        return {"sentence": "Nothing can be said: no candidate answered reliably.", "table": []}
    so_far = " That is so far: the test is not finished." if case.claim.split == "test" and unfinished(case) else ""
    return {"sentence": _sentence(case, case.best) + so_far, "table": [_row(case, trial) for trial in case.ranked]}


def more_items(c: Comparison) -> int | None:
    """How many more items would show the difference, if it is as seen; None where none was seen."""
    if c.shown or abs(c.found.value) <= 1e-9:
        return None
    more = items_needed(c.found.value, c.found.discordance) - c.found.n
    return more if more > 0 else None  # then it is not the number of items that leaves it open


def _sentence(case: Case, best: str) -> str:
    if not case.comparisons:
        return f"Only one candidate was measured, {best}: {measured(case, best)}. There is nothing to compare it with."
    n, split = case.comparisons[0].found.n, case.claim.split
    if n < FEW_TO_TELL:
        return f"Too close to call: {count(n, f'{split} item')} can't tell candidates apart."
    open_ = [c for c in case.comparisons if not c.shown]
    if not open_:
        each = "the other" if len(case.comparisons) == 1 else f"each of the {len(case.comparisons)} others"
        return f"{best}, {interval(case, best)}: shown better than {each} on {count(n, f'{split} item')}."
    names = enumerated([best, *(c.b for c in open_)], most=NAMED + 1)
    near = open_[0]
    against = better_worse(case, near.found.low, near.found.high)
    said = f"Too close to call between {names}. {best} is {against} than {near.b}"
    more = more_items(near)
    settle = f"; about {about(more)} more {split} items would settle it, if it is as seen" if more else ""
    return f"{said} (95%, {count(near.found.n, 'item')}){settle}."


def _row(case: Case, trial: str) -> dict[str, Any]:
    found, c = case.claim.interval(trial), case.against_best(trial)
    row: dict[str, Any] = {"candidate": trial, "family": case.entries[trial].family}
    if found:
        row |= {"value": rounded(found.value), "low": rounded(found.low), "high": rounded(found.high), "n": found.n}
    if c is None:
        return row | {"verdict": "best" if trial == case.best else "not compared"}
    verdict = "shown worse" if c.shown else "too close to call"
    return row | {"behind": c.to_dict(), "verdict": verdict, "items": more_items(c)}
