"""Which labels look wrong? Confident learning (Northcutt, Jiang and Chuang 2021) on items that the candidate never saw.

The threshold of a label is the mean probability that items bearing it are given it. An item is suspected when, among
the labels whose thresholds its probabilities reach, the likeliest is another one than its own, and when another
candidate (where there is one) says that other label too: one alone suspects mostly its own mistakes. Suspects are
ranked by how far the other label is ahead. A suspicion is a reason to look, no finding: public test sets have 3.3%
errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...log import Row
from ..results import Results, rounded
from .calibration import labels_of, probabilities

if TYPE_CHECKING:
    from ..rule import Case

MOST = 20
FEWEST = 50
LEAST_RIGHT = 0.5
"""A candidate that is wrong more often than right suspects its own mistakes only."""


def label_errors(case: Case) -> dict[str, Any] | None:
    """Suspects of dev and test by the best candidate that gives probabilities; None where there is none good enough."""
    if case.claim.kind != "classification":
        return None
    able = [t for t in case.ranked if any(r.nats for r in case.claim.rows[t].values())]
    serious = [t for t in able if case.entries[t].family != "baseline"]
    if not serious:
        return None
    trial, others = serious[0], serious[1:]
    right = case.claim.interval(trial)
    if right is None or case.claim.scale.sign * right.value < LEAST_RIGHT:
        return None
    found = [entry for results in (case.dev, case.test) for entry in _suspects(case, results, trial)]
    for entry in found:
        rows = (case.dev if entry["split"] == "dev" else case.test).rows
        said = [t for t in others if t in rows and entry["item"] in rows[t]]
        entry["agree"] = [t for t in said if rows[t][entry["item"]].answer == entry["suggested"]]
    found = [entry for entry in found if entry["agree"] or not others]
    found.sort(key=lambda entry: -entry["ahead"])
    looked = sum(len(results.answered(trial)) for results in (case.dev, case.test))
    return {"candidate": trial, "looked_at": looked, "suspected": len(found), "items": found[:MOST]}


def _suspects(case: Case, results: Results, trial: str) -> list[dict[str, Any]]:
    rows = {i: results.rows[trial][i] for i in results.answered(trial)} if trial in results.rows else {}
    if len(rows) < FEWEST:
        return []
    labels = labels_of(case, next(iter(rows.values())))
    told = {i: shares for i, row in rows.items() if (shares := _shares(row, labels))}
    targets = {i: str(results.items[i].get("target")) for i in told}
    thresholds = _thresholds(told, targets, labels)
    found = []
    for item, shares in told.items():
        own = targets[item]
        reached = {label: p for label, p in zip(labels, shares, strict=True) if p >= thresholds.get(label, 2.0)}
        other = max(reached, key=lambda label: reached[label], default=own)
        if other == own or own not in labels:
            continue
        ahead = rounded(reached[other] - shares[labels.index(own)])
        found.append({"item": item, "split": results.split, "label": own, "suggested": other, "ahead": ahead})
    return found


def _shares(row: Row, labels: Sequence[str]) -> list[float] | None:
    shares = probabilities(row)
    return shares if shares is not None and len(shares) == len(labels) else None


def _thresholds(
    told: Mapping[str, Sequence[float]], targets: Mapping[str, str], labels: Sequence[str]
) -> dict[str, float]:
    """Label -> mean probability of that label over the items that bear it; labels that nobody bears have none."""
    found = {}
    for position, label in enumerate(labels):
        own = [shares[position] for item, shares in told.items() if targets[item] == label]
        if own:
            found[label] = sum(own) / len(own)
    return found
