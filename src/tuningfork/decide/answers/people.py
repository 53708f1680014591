"""What people say: the blind side-by-side ratings of a run (`tuningfork review`), each pair with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..ratings import ratings, summary
from ..words import FEW_ITEMS, count

if TYPE_CHECKING:
    from ..rule import Case


def people(case: Case) -> dict[str, Any] | None:
    """None where nobody has rated."""
    found = summary(ratings(case.log.folder))
    if not found:
        return None
    return {"pairs": found, "sentence": " ".join(_said(pair) for pair in found)}


def _said(pair: Mapping[str, Any]) -> str:
    a, b = pair["a"], pair["b"]
    ties = f", {count(pair['ties'], 'tie')}" if pair["ties"] else ""
    if not pair["n"]:
        return f"Between {a} and {b} people have chosen nothing yet{ties}."
    shares = f"{a} {pair['for_a']}, {b} {pair['for_b']}{ties}"
    if pair["n"] < FEW_ITEMS:
        return f"Too few ratings to tell: {shares}."
    between = f"95% between {100 * pair['low']:.0f}% and {100 * pair['high']:.0f}%"
    if pair["p"] < 0.05:
        liked = a if pair["share"] > 0.5 else b
        return f"People prefer {liked}: {shares}; {a} was chosen in {100 * pair['share']:.0f}% ({between})."
    return f"People are not shown to prefer either: {shares}; {a} in {100 * pair['share']:.0f}% ({between})."
