"""Several tests at once: p-values raised so that the chance of even one false claim stays what was promised.

Holm's step-down method (1979) needs no assumption about how the tests hang together, and is never weaker than
Bonferroni's. Comparisons that were chosen after looking need the whole `family` that they were chosen from.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float], family: int | None = None) -> list[float]:
    """Holm-adjusted p-values, in the order given, each at most 1.

    `family` is the number of all tests where only some are listed; the others count as if theirs were larger. Raises
    ValueError for a p-value outside 0..1, or more of them than the family has.
    """
    size = len(p_values) if family is None else family
    if size < len(p_values):
        raise ValueError(f"a family of {size} tests can't have {len(p_values)} p-values")
    for p in p_values:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"a p-value lies between 0 and 1, not at {p!r}")
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (size - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
