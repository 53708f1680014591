"""Which under my limits? The candidates that meet them all, what each limit costs in quality, and which contradict.

Beside what the race itself checks (latency, memory, private) there are limits that only the whole log can judge: a
floor of quality, the money a request costs on hardware of one's own, days until it must ship, machine-learning skill at
hand. A limit that nothing measured is not judged, and the sentence says so. A floor of quality counts as met where the
value reaches it, and as *shown* only where the whole interval does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ..words import better_worse, count, enumerated, interval, number, usd
from .adapting import adapting, labels_used
from .serving import serving

if TYPE_CHECKING:
    from ..rule import Case

SKILLS = ("none", "some")
ASKS_SKILL = frozenset({"soft", "tune", "hybrid"})
"""Families whose candidates are weights of one's own, to serve and to tune again: somebody must know how. This is our
judgement, no measurement. A prompt, a baseline and what the user has already need nobody."""


@dataclass(frozen=True)
class Check:
    """One limit on one candidate. `over` says by how much it is broken, as a share of the limit."""

    limit: str
    met: bool | None
    said: str
    over: float = 0.0


def limits(case: Case) -> dict[str, Any] | None:
    """The feasible set, the front of quality against cost, and what each limit does to both."""
    if not case.ranked:
        return None
    checks = {trial: list(_checks(case, trial)) for trial in case.ranked}
    feasible = [trial for trial in case.ranked if all(check.met is not False for check in checks[trial])]
    found: dict[str, Any] = {
        "feasible": feasible,
        "front": _front(case, feasible or case.ranked),
        "checks": {t: [{"limit": c.limit, "met": c.met, "said": c.said} for c in checks[t]] for t in case.ranked},
        "contradict": _contradictions(checks),
    }
    given = list(dict.fromkeys(c.limit for of in checks.values() for c in of))
    if not given:
        names = enumerated(found["front"], most=4)
        return {
            **found,
            "costs": [],
            "sentence": f"No limits were given. Worth considering by quality and cost: {names}.",
        }
    found["costs"] = _costs(case, checks, given, feasible)
    return {**found, "sentence": " ".join(filter(None, _sentences(case, checks, found)))}


def broken(case: Case, trial: str) -> list[str]:
    """In words, the limits that a candidate does not meet."""
    return [check.said for check in _checks(case, trial) if check.met is False]


def _checks(case: Case, trial: str) -> Iterator[Check]:
    for limit, wanted in (case.log.started.task.get("limits") or {}).items():
        if limit == "quality":
            yield _quality(case, trial, float(wanted))
        elif limit == "skill":
            asks = case.entries[trial].family in ASKS_SKILL and wanted == "none"
            yield Check(
                limit,
                not asks,
                "skill none (it takes somebody who can serve and re-tune a model)" if asks else "met",
                1.0,
            )
        elif limit == "private":
            yield _private(case, trial)
        else:
            yield _most(limit, _taken(case, trial, limit), float(wanted))


def _quality(case: Case, trial: str, floor: float) -> Check:
    """A value that is to be reached: at least `floor`, or at most where lower is better."""
    found, scale = case.claim.interval(trial), case.claim.scale
    if not scale.low <= floor <= scale.high:
        end = number(case, scale.high)
        return Check("quality", False, f"quality {floor:g} lies outside {scale.metric}, which ends at {end}", 1.0)
    if found is None:
        return Check("quality", None, "no value")
    short = scale.sign * (floor - found.value)
    if short > 0:
        return Check("quality", False, f"quality {number(case, floor)} (it has {interval(case, trial)})", short)
    shown = (found.low if scale.higher_is_better else -found.high) >= scale.sign * floor
    return Check("quality", True, "met, and shown" if shown else "met, but the interval reaches past it")


def _private(case: Case, trial: str) -> Check:
    entry = case.entries[trial]
    said = next((b for b in entry.broken if b.startswith("private")), "")
    if said:
        return Check("private", False, said, 1.0)
    return Check("private", None if "private" in entry.unchecked else True, "met")


def _taken(case: Case, trial: str, limit: str) -> float | None:
    """What a candidate takes of something limited; None where nothing measured it."""
    entry = case.entries[trial]
    if limit == "latency_ms_p95":
        return entry.latency_ms["p95"] if entry.latency_ms else None
    if limit == "memory_gib":
        return entry.probes.get("memory", {}).get("peak_gib")
    if limit == "usd_per_1k":
        each = serving(case, trial).usd
        return None if each is None else 1000 * each
    if limit == "days":
        per_day = (case.log.started.task.get("costs") or {}).get("labels_per_day")
        labelling = labels_used(case, trial) / float(per_day) if per_day else 0.0
        return labelling + adapting(case, trial)[0] / 86400
    return None


def _most(limit: str, taken: float | None, most: float) -> Check:
    if taken is None:
        return Check(limit, None, "not measured")
    if taken <= most:
        return Check(limit, True, "met")
    takes = usd(taken) if limit.startswith("usd") else f"{taken:.3g}"
    return Check(limit, False, f"{limit} {most:g} (it takes {takes})", taken / most - 1 if most else 1.0)


def _front(case: Case, trials: Sequence[str]) -> list[str]:
    """Those that no other of these beats in quality and cost at once, best first (ranked is best first). Cost is the
    median latency where all were timed, else what the race orders by."""
    latency = {trial: case.entries[trial].latency_ms for trial in trials}
    costs = {t: ms["p50"] if (ms := latency[t]) and all(latency.values()) else case.entries[t].cost for t in trials}
    kept: list[str] = []
    for trial in trials:
        if not any(costs[other] <= costs[trial] for other in kept):
            kept.append(trial)
    return kept


def _contradictions(checks: dict[str, list[Check]]) -> list[list[str]]:
    """Pairs of limits of which each is met by somebody, and both by nobody."""
    met = {trial: {check.limit for check in of if check.met is not False} for trial, of in checks.items()}
    names = list(dict.fromkeys(check.limit for of in checks.values() for check in of))
    alone = [name for name in names if any(name in limits for limits in met.values())]
    return [list(pair) for pair in combinations(alone, 2) if not any(set(pair) <= limits for limits in met.values())]


def _costs(
    case: Case, checks: dict[str, list[Check]], given: Sequence[str], feasible: Sequence[str]
) -> list[dict[str, Any]]:
    """For each limit, what would be best without it, and how much better that is."""
    found = []
    for limit in given:
        without = [t for t in case.ranked if all(c.met is not False or c.limit == limit for c in checks[t])]
        if not feasible or not without or without[0] == feasible[0]:
            continue
        c = case.compare(without[0], feasible[0])
        if c:
            found.append({"limit": limit, "without": without[0], **c.to_dict()})
    return found


def _sentences(case: Case, checks: dict[str, list[Check]], found: dict[str, Any]) -> Iterator[str]:
    feasible = found["feasible"]
    unjudged = sorted({c.limit for of in checks.values() for c in of if c.met is None})
    if feasible:
        every = f"{count(len(feasible), 'candidate')} of {len(case.ranked)}"
        verb = "meets" if len(feasible) == 1 else "meet"
        judged = " that could be judged" if unjudged else ""
        yield f"{every} {verb} all limits{judged}; the best of them is {feasible[0]}: {interval(case, feasible[0])}."
        open_ = next((c for c in checks[feasible[0]] if c.limit == "quality" and c.said != "met, and shown"), None)
        yield "That it reaches the floor of quality is not shown: its interval reaches past it." if open_ else ""
        for paid in found["costs"]:
            far = better_worse(case, paid["low"], paid["high"])
            yield f"Without the limit {paid['limit']}, {paid['without']} would be possible: {far}."
    else:
        nearest = min(case.ranked, key=lambda t: _distance(checks[t]))
        breaks = enumerated([c.said for c in checks[nearest] if c.met is False])
        yield f"Nothing meets all limits. The nearest is {nearest}, which breaks {breaks}."
        pairs = [" and ".join(pair) for pair in found["contradict"]]
        yield f"Each is met by somebody, both by nobody: {enumerated(pairs)}." if pairs else ""
    yield f"Not judged, because it was not measured everywhere: {enumerated(unjudged)}." if unjudged else ""


def _distance(checks: Sequence[Check]) -> tuple[int, float]:
    out = [check.over for check in checks if check.met is False]
    return len(out), sum(out)
