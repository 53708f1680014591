"""The rule of the verdict, a pure function of the log.

`best` has the highest quality. `recommended` is the cheapest that is *shown* not worse than it within the task's
tolerance and that meets the user's limits; where none is shown, `best` itself. What is claimed stands on the test items
of the finalists, or, where the test was not opened, on dev, and the sentence says so. A candidate that failed on more
than one item in twenty is never best or recommended, however good its other answers are.

Best is compared with every other finalist. It was chosen on the same items, so p-values are Holm-adjusted over all
pairs of finalists, of which these were picked by looking; but none is put above the largest raw one, which is a valid p
for "best beats them all". Five equal finalists, tested on 300 items, give some false claim in about 4 of 100 verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..log import RunLog, TestOpened
from ..stats.multiple import holm
from ..stats.paired import Difference
from ..stats.power import minimum_detectable_difference
from .entries import Entry, contestants
from .results import Results, rounded
from .verdict import Outcome

MOST_FAILED = 0.05
ALPHA = 0.05
LEAST_FOR_CLEAR = 20
"""Under so many items nothing is called clear, whatever the p-value: a few rows of one kind decide."""
USUAL_DISCORDANCE = 0.2
"""Stands in where no two candidates were compared."""


@dataclass(frozen=True)
class Comparison:
    """a against b: positive when a is better."""

    a: str
    b: str
    found: Difference
    p_adjusted: float
    seeds: int

    @property
    def shown(self) -> bool:
        """Whether a is shown better than b: by the interval, and by the p-value among all comparisons."""
        return self.found.low > 0 and self.p_adjusted < ALPHA

    def to_dict(self) -> dict[str, Any]:
        found = self.found
        numbers = {"difference": found.value, "low": found.low, "high": found.high, "p": found.p}
        rest = {"p_adjusted": rounded(self.p_adjusted), "n": found.n, "seeds": self.seeds}
        return {"a": self.a, "b": self.b, **{name: rounded(number) for name, number in numbers.items()}, **rest}


def _nothing_more(case: Case, trial: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Case:
    """All that the rule looks at, and what follows from it. `beyond` says which limits a trial breaks that its entry
    can't tell: `answers.limits.broken`."""

    log: RunLog
    entries: Mapping[str, Entry]
    dev: Results
    test: Results
    beyond: Callable[[Case, str], Sequence[str]] = _nothing_more

    @cached_property
    def claim(self) -> Results:
        """The split that the claim stands on: test, when it was opened and answered."""
        return self.test if self.log.of(TestOpened) and contestants(self.log, self.entries, self.test) else self.dev

    @cached_property
    def contestants(self) -> list[str]:
        return contestants(self.log, self.entries, self.claim)

    @cached_property
    def ranked(self) -> list[str]:
        """Contestants that answered reliably, best first: by the metric over the items that all of them answered, then
        by cost, then by name."""
        able = [t for t in self.contestants if self.claim.failed(t) <= MOST_FAILED * len(self.claim.rows[t])]
        common = self.claim.shared(able)
        values = {t: self.claim.value(t, common or self.claim.answered(t)) for t in able}
        sign = self.claim.scale.sign
        return sorted(able, key=lambda t: (-round(sign * values[t], 12), self.entries[t].cheapness))

    @property
    def best(self) -> str | None:
        return self.ranked[0] if self.ranked else None

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Best against every other one of the ranked, in their order."""
        pairs = [(b, self.claim.difference(self.ranked[0], b)) for b in self.ranked[1:]]
        found = [(b, d) for b, d in pairs if d is not None]
        largest = max((d.p for _, d in found), default=1.0)
        pairs_of_all = len(self.ranked) * (len(self.ranked) - 1) // 2
        adjusted = [min(p, largest) for p in holm([d.p for _, d in found], pairs_of_all)]
        return [self._comparison(self.ranked[0], b, d, p) for (b, d), p in zip(found, adjusted, strict=True)]

    def against_best(self, trial: str) -> Comparison | None:
        return next((c for c in self.comparisons if c.b == trial), None)

    def compare(self, a: str, b: str) -> Comparison | None:
        """Any other pair, as a question of its own."""
        known = self.against_best(b) if a == self.best else None
        found = known.found if known else self.claim.difference(a, b)
        return self._comparison(a, b, found, found.p) if found else None

    @cached_property
    def families(self) -> dict[str, str]:
        """Family -> its best, best family first."""
        found: dict[str, str] = {}
        for trial in self.ranked:
            found.setdefault(self.entries[trial].family, trial)
        return found

    @cached_property
    def outcome(self) -> Outcome:
        if not self.comparisons or self.best is None:
            return "none"
        family = self.entries[self.best].family
        floor = self.families.get("baseline")
        if floor is not None and (family == "baseline" or not self._beaten(floor)):
            return "none"
        rivals = [t for name, t in self.families.items() if name != family]
        if min(c.found.n for c in self.comparisons) < LEAST_FOR_CLEAR:
            return "close"
        return "clear" if all(self._beaten(t) for t in rivals or self.ranked[1:]) else "close"

    @property
    def indistinguishable(self) -> list[str]:
        """Those that best is not shown better than."""
        return [c.b for c in self.comparisons if not c.shown]

    @property
    def tolerance(self) -> float:
        return float(self.log.started.task.get("tolerance", 0.01))

    @cached_property
    def shown_good_enough(self) -> list[str]:
        """Best, and all shown not worse than it within the tolerance, cheapest first."""
        shown = [c.b for c in self.comparisons if c.found.high < self.tolerance]
        return sorted([*self.ranked[:1], *shown], key=lambda t: self.entries[t].cheapness)

    @cached_property
    def recommended(self) -> str | None:
        """The cheapest that is good enough and within the limits; else the best that is within them; else None."""
        able = [t for t in self.shown_good_enough if not self.broken(t)]
        return next(iter([*able, *(t for t in self.ranked if not self.broken(t))]), None)

    def broken(self, trial: str) -> tuple[str, ...]:
        """The limits that it does not meet, and by how much: those of its entry, and those that only the whole log can
        judge (quality, days, skill, what a request costs on hardware of one's own)."""
        own = self.entries[trial].broken
        known = {said.split(" ")[0] for said in own}
        more = self.beyond(self, trial) if trial in self.ranked else ()
        return (*own, *(said for said in more if said.split(" ")[0] not in known))

    @cached_property
    def cheaper(self) -> list[Comparison]:
        """Best against candidates within the limits that are cheaper than the recommended and not shown good enough,
        cheapest first. What costs nothing because it reads nothing is no option."""
        if self.recommended is None:
            return []
        limit = self.entries[self.recommended].cheapness
        found = [c for c in self.comparisons if self.entries[c.b].cost > 0 and not self.broken(c.b)]
        left = [c for c in found if c.b not in self.shown_good_enough and self.entries[c.b].cheapness < limit]
        return sorted(left, key=lambda c: self.entries[c.b].cheapness)

    @property
    def discordance(self) -> float:
        """Of best and the runner-up, or the usual one."""
        return self.comparisons[0].found.discordance if self.comparisons else USUAL_DISCORDANCE

    @property
    def detectable(self) -> float | None:
        """The smallest difference that this many items show in four cases of five."""
        n = max((len(self.claim.answered(t)) for t in self.ranked), default=0)
        return minimum_detectable_difference(n, self.discordance) if n else None

    def _comparison(self, a: str, b: str, found: Difference, p: float) -> Comparison:
        return Comparison(a, b, found, p, min(self.entries[a].seeds, self.entries[b].seeds))

    def _beaten(self, trial: str) -> bool:
        found = self.against_best(trial)
        return found is not None and found.shown
