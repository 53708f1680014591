"""Where candidates are right and wrong: items that only one gets right, classes, groups, what is taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...log import Row
from ...stats.intervals import mean_interval
from ..results import rounded

if TYPE_CHECKING:
    from ..rule import Case

MOST_SHOWN = 5
FEWEST_OF_A_KIND = 30
"""Under this many items a share of a class or a group says hardly anything; the report marks it."""
MOST_CONFUSED = 12


def compared(case: Case) -> list[str]:
    """Whose answers are looked at: the recommended, then the best of every family, then the others, a few at most."""
    first = [case.recommended] if case.recommended else []
    serious = [t for t in case.ranked if case.entries[t].family != "baseline"] or case.ranked
    best = [t for t in case.families.values() if t in serious]
    return list(dict.fromkeys([*first, *best, *serious]))[:MOST_SHOWN]


def only_right(case: Case) -> list[dict[str, Any]]:
    """For the best of each family, the items that it alone among them gets fully right; empty for one family."""
    trials = [trial for family, trial in case.families.items() if family != "baseline"]
    if len(trials) < 2:
        return []
    shared = case.claim.shared(trials)
    found: dict[str, list[str]] = {trial: [] for trial in trials}
    for item in shared:
        winners = [t for t in trials if _right(case, case.claim.rows[t][item])]
        if len(winners) == 1:
            found[winners[0]].append(item)
    return [{"candidate": t, "items": len(ids), "of": len(shared), "examples": ids[:10]} for t, ids in found.items()]


def by_class(case: Case, trials: Sequence[str]) -> list[dict[str, Any]]:
    """Of each label's items, the share that each trial gets right. Empty where targets are no labels."""
    if not case.log.started.task.get("labels") and case.claim.kind != "classification":
        return []
    return _by(case, trials, lambda item: item.get("target") if isinstance(item.get("target"), str) else None)


def by_group(case: Case, trials: Sequence[str]) -> list[dict[str, Any]]:
    """Of each group's items, the mean score of each trial. Empty where the task names no groups."""
    return _by(case, trials, lambda item: item.get("group"))


def confusion(case: Case, trial: str) -> list[dict[str, Any]]:
    """What a trial takes for what, most frequent first."""
    if case.claim.kind != "classification":
        return []
    pairs = Counter(
        (str(case.claim.items[item].get("target")), row.answer)
        for item, row in case.claim.rows[trial].items()
        if row.score is not None and row.answer != str(case.claim.items[item].get("target"))
    )
    return [{"wanted": w, "said": s, "items": n} for (w, s), n in pairs.most_common(MOST_CONFUSED)]


def _by(case: Case, trials: Sequence[str], key: Callable[[Mapping[str, Any]], Any]) -> list[dict[str, Any]]:
    kinds = Counter(str(kind) for item in _asked(case) if (kind := key(case.claim.items[item])) is not None)
    if len(kinds) < 2:
        return []
    return [
        {"name": name, "items": n, "few": n < FEWEST_OF_A_KIND, "by": [_share(case, t, name, key) for t in trials]}
        for name, n in kinds.most_common()
    ]


def _share(case: Case, trial: str, name: str, key: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """The mean item score of a trial on the items of one kind."""
    scale, items = case.claim.scale, case.claim.items
    rows = {i: r.score for i, r in case.claim.rows[trial].items() if r.score is not None and str(key(items[i])) == name}
    if not rows:
        return {"candidate": trial, "value": None, "low": None, "high": None, "n": 0}
    clusters = [items[i].get("cluster") for i in rows]
    found = mean_interval(list(rows.values()), clusters, bounds=(scale.low, scale.high))
    ends = {"value": rounded(found.value), "low": rounded(found.low), "high": rounded(found.high)}
    return {"candidate": trial, **ends, "n": found.n}


def _asked(case: Case) -> list[str]:
    """Items of the claim's split that somebody was asked."""
    asked = {item for trial in case.ranked for item in case.claim.rows[trial]}
    return [item for item in case.claim.items if item in asked]


def _right(case: Case, row: Row) -> bool:
    scale = case.claim.scale
    return row.score is not None and row.score == (scale.high if scale.higher_is_better else scale.low)
