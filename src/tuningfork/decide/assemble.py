"""The verdict put together: what the rule found, the sentences, a leaderboard row for every trial, what was spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..log import Born, Ended, Measured, Rung, RunLog, TestOpened, Twins
from ..stats.intervals import Interval
from . import sentences
from .answers import answers, limits
from .entries import Entry, entries
from .results import Results, rounded
from .rule import MOST_FAILED, Case
from .verdict import Verdict


def decide(log: RunLog) -> Verdict:
    """The verdict of a run, from its log alone. Raises UnknownName when the metric that decides is no mean of items and
    is not installed here."""
    case = Case(log, entries(log), Results.read(log, "dev"), Results.read(log, "test"), limits.broken)
    scale = case.claim.scale
    detectable = case.detectable
    return Verdict(
        task=str(log.started.task.get("name", "")),
        metric=scale.metric,
        higher_is_better=scale.higher_is_better,
        outcome=case.outcome,
        sentence=sentences.sentence(case),
        scope=sentences.scope(case),
        best=case.best,
        recommended=case.recommended,
        indistinguishable=tuple(case.indistinguishable),
        comparisons=tuple(c.to_dict() for c in case.comparisons),
        leaderboard=tuple(_leaderboard(case)),
        answers=answers(case),
        families={family: {"candidate": trial, **_value(case, trial)} for family, trial in case.families.items()},
        minimum_detectable_difference=None if detectable is None else rounded(detectable),
        test_looks=max((event.looks for event in log.of(TestOpened)), default=0),
        budget=_budget(log),
        noise_floor=_noise_floor(case),
    )


def _noise_floor(case: Case) -> dict[str, Any] | None:
    """The null pair of the race; where it had none, two seeds of the best on the items of the claim."""
    for event in case.log.of(Twins):
        ends = {"difference": event.difference, "low": event.low, "high": event.high, "discordance": event.discordance}
        found = {name: rounded(number) for name, number in ends.items()}
        return {"candidate": event.trial, **found, "n": event.items, "examples": event.examples}
    for trial in case.ranked:
        gap = case.claim.between_seeds(trial)
        if gap is not None:
            ends = {"difference": gap.value, "low": gap.low, "high": gap.high, "discordance": gap.discordance}
            return {"candidate": trial, **{name: rounded(number) for name, number in ends.items()}, "n": gap.n}
    return None


def _leaderboard(case: Case) -> list[dict[str, Any]]:
    """A row a trial: the ranked in their order, other finalists, the rest by dev value, failed and skipped last."""
    places = {trial: place for place, trial in enumerate(case.ranked)}
    sign = case.claim.scale.sign
    rows = []
    for trial, entry in case.entries.items():
        dev, test = case.dev.interval(trial), case.test.interval(trial)
        last = {"failed": 1, "skipped": 2}.get(entry.status, 0)
        order = (last, places.get(trial, math.inf), test is None, -sign * dev.value if dev else math.inf)
        rows.append((order, _row(case, entry, dev, test)))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _row(case: Case, entry: Entry, dev: Interval | None, test: Interval | None) -> dict[str, Any]:
    where = case.test if entry.trial in case.test.rows else case.dev
    failed, asked = where.failed(entry.trial), len(where.rows.get(entry.trial, {}))
    why = [entry.why, *(f"Breaks the limit {limit}." for limit in case.broken(entry.trial))]
    if failed > MOST_FAILED * asked:
        why.append(f"Failed on {failed} of {asked} {where.split} items, too many to be recommended.")
        why.append(_first_failure(where, entry.trial))
    return {
        "candidate": entry.trial,
        "method": entry.method,
        "model": entry.model,
        "family": entry.family,
        "settings": entry.settings,
        "seeds": entry.seeds,
        "dev": _interval(dev),
        "test": _interval(test),
        "failed_items": failed,
        "adapt_seconds": entry.adapt_seconds,
        "latency_ms": entry.latency_ms,
        "tokens": entry.tokens,
        "usd_per_1k": entry.usd_per_1k,
        "bytes": entry.bytes,
        "probes": entry.probes,
        "feasible": not case.broken(entry.trial),
        "status": entry.status,
        "why": _joined(why),
    }


def _joined(reasons: Sequence[str]) -> str:
    """One reason as it is; several as sentences."""
    said = [reason.strip() for reason in reasons if reason]
    return said[0] if len(said) == 1 else " ".join(reason.rstrip(".") + "." for reason in said)


def _first_failure(where: Results, trial: str) -> str:
    said = next((row.failure for row in where.rows[trial].values() if row.failure), "")
    return f"The first: {said[:200]}" if said else ""


def _interval(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": rounded(found.value), "low": rounded(found.low), "high": rounded(found.high), "n": found.n}


def _value(case: Case, trial: str) -> dict[str, float]:
    found = case.claim.interval(trial)
    return {"value": rounded(found.value)} if found else {}


def _budget(log: RunLog) -> dict[str, Any]:
    """What was planned and what was spent. A race that has not ended, or was resumed, is summed up from its events."""
    ended = log.of(Ended)
    events = [e for e in log.events if isinstance(e, Born | Measured | Rung | Twins)]
    worked = sum(event.seconds for event in events)
    usage: Mapping[str, float] = ended[-1].usage if ended else _summed([event.usage for event in events])
    tokens = sum(usage.get(key, 0) for key in ("tokens_in", "tokens_out", "tokens_trained"))
    return {
        "seconds": (log.started.plan.get("budget") or {}).get("seconds") or log.started.plan.get("seconds"),
        "spent_seconds": rounded(max(worked, ended[-1].seconds if ended else 0.0)),
        "spent_tokens": round(tokens),
        "spent_usd": rounded(usage.get("usd", 0.0)),
    }


def _summed(usages: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: sum(u.get(key, 0) for u in usages) for key in {key for u in usages for key in u}}
