"""Numbers and names in words, the same in the verdict's sentence and in all its answers.

A number stands with its interval or not at all, and "no significant difference" is never called "equal".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..log import TestOpened

if TYPE_CHECKING:
    from ..stats.intervals import Interval
    from .rule import Case

FEW_ITEMS = 10
"""Under so many items no single number is given."""
FEW_TO_TELL = 20
"""Under so many items candidates are not told apart."""
FEW_OF_A_KIND = 5
"""Right or wrong answers that it takes before one number is given for a share."""


def measured(case: Case, trial: str) -> str:
    """`91.2% accuracy on 320 test items (95% between 88.0% and 93.8%)`, or only the interval where there is too little
    data for one number."""
    found = case.claim.interval(trial)
    if found is None:
        return "no answers"
    metric, where = case.claim.scale.metric, count(found.n, f"{case.claim.split} item")
    between = f"between {number(case, found.low)} and {number(case, found.high)}"
    if little := too_little(case, found):
        return f"{between} {metric} on {where} (too little data for one number: {little})"
    return f"{number(case, found.value)} {metric} on {where} (95% {between})"


def too_little(case: Case, found: Interval) -> str:
    if found.n < FEW_ITEMS:
        return f"only {count(found.n, 'item')}"
    rarer = min(found.value, 1 - found.value) * found.n
    if case.claim.scale.percent and rarer < FEW_OF_A_KIND:
        kind = "errors" if found.value > 0.5 else "right answers"
        return f"fewer than {FEW_OF_A_KIND} {kind}"
    return ""


def interval(case: Case, trial: str) -> str:
    """`84.0% (95% between 80.1% and 87.3%)`."""
    found = case.claim.interval(trial)
    if found is None:
        return "no value"
    return f"{number(case, found.value)} (95% between {number(case, found.low)} and {number(case, found.high)})"


def value(case: Case, trial: str) -> str:
    found = case.claim.interval(trial)
    return number(case, found.value) if found else "no value"


def number(case: Case, value: float) -> str:
    return f"{100 * value:.1f}%" if case.claim.scale.percent else f"{value:.3g}"


def gap(case: Case, size: float, up: bool = False) -> str:
    """A distance without sign: `3.1 points`; with `up` never rounded down."""
    if not case.claim.scale.percent:
        return f"{abs(size):.3g}"
    shown = f"{100 * abs(size) + (0.05 if up else 0.0):.1f}"
    return f"{shown} point" + ("" if shown == "1.0" else "s")


def of_range(case: Case, low: float, high: float) -> str:
    """Both ends on one side of zero: `1.2 to 5.0 points`."""
    return f"{gap(case, low).split()[0]} to {gap(case, high)}"


def better_worse(case: Case, low: float, high: float) -> str:
    """`between 3.9 points worse and 1.4 better`, of an interval of being better."""
    if low >= 0:
        return f"{of_range(case, low, high)} better"
    if high <= 0:
        return f"{of_range(case, high, low)} worse"
    return f"between {gap(case, low)} worse and {gap(case, high).split()[0]} better"


def times(dear: float, cheap: float) -> str:
    """How much cheaper, to one figure: costs are not known better than that."""
    if not cheap or not 0 < dear / cheap < 1e6:
        return "cheaper"
    ratio = dear / cheap
    return f"about {float(f'{ratio:.1g}'):,.0f} times cheaper" if ratio >= 1.5 else "a little cheaper"


def about(number: float) -> str:
    """To two figures: `640`, `7,100`."""
    return f"{float(f'{number:.2g}'):,.0f}"


def size(parameters: float) -> str:
    """`135M`, `1.7B`."""
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f}B".replace(".0B", "B")
    return f"{parameters / 1e6:.0f}M" if parameters >= 1e6 else f"{parameters:,.0f} parameters"


def unfinished(case: Case) -> int:
    """How many test items the last finalist has been asked, where that is not all of them; else 0."""
    asked = min((len(case.test.rows[t]) for t in case.contestants), default=0)
    return asked if asked < case.log.of(TestOpened)[-1].items else 0


def usd(amount: float) -> str:
    """`1,200 USD`, `0.41 USD`, `0.0023 USD`: costs are not known better than to two figures."""
    if not amount:
        return "0 USD"
    return f"{about(amount) if amount >= 10 else f'{amount:.2g}'} USD"


def count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"


def enumerated(names: Sequence[str], most: int = 0) -> str:
    """`a, b and c`; of more than `most` (where that is given) the first ones, and how many others."""
    if most and len(names) > most:
        return f"{', '.join(names[:most])} and {count(len(names) - most, 'other')}"
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
