"""Does a candidate know when it is wrong? Reliability, ECE, Brier score and log-loss of its stated probabilities.

    ECE = sum over bins of |items| / n x |share right - mean confidence|     (equal-mass bins)

ECE is biased upwards where items are few, so its interval is a bias-corrected bootstrap and under 50 items none is
given. Brier and log-loss (nats) need probabilities of all labels; the log has them where the candidate scores labels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...log import Born, Row
from ...stats.intervals import total_interval, wilson
from ..results import rounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..rule import Case

FEWEST = 50
MOST_BINS = 10
ITEMS_A_BIN = 20
FLOOR = 1e-6
"""Least probability that log-loss counts with, so that one sure mistake is not infinite."""


def calibration(case: Case, trial: str) -> dict[str, Any] | None:
    """None where the candidate states no confidence, or right and wrong are not the question."""
    import numpy as np

    scale = case.claim.scale
    rows = [r for r in case.claim.rows[trial].values() if r.score is not None and r.confidence is not None]
    if not rows or not scale.percent or any(r.score not in (0.0, 1.0) for r in rows):
        return None
    if len(rows) < FEWEST:
        return {"candidate": trial, "n": len(rows), "said": f"too few items to judge: {len(rows)} of {FEWEST}"}
    sure = np.array([float(r.confidence or 0.0) for r in rows])
    right = np.array([float(r.score == scale.high) for r in rows])
    clusters = [case.claim.items[r.item].get("cluster") for r in rows]
    found = total_interval(lambda at: _ece(sure[at], right[at]), len(rows), clusters)
    ends = {"ece": rounded(found.value), "low": rounded(found.low), "high": rounded(found.high), "n": found.n}
    return {"candidate": trial, **ends, **_scores(case, trial, rows), "bins": _bins(sure, right)}


def probabilities(row: Row) -> list[float] | None:
    """The probability of every label, from a row's log-probabilities."""
    if not row.nats:
        return None
    most = max(row.nats)
    shares = [math.exp(nats - most) for nats in row.nats]
    return [share / sum(shares) for share in shares]


def labels_of(case: Case, row: Row) -> list[str]:
    """The labels that a row's log-probabilities stand for, in their order."""
    born = next((e for e in reversed(case.log.of(Born)) if e.candidate == row.candidate), None)
    named = born.data.get("labels") if born is not None else None
    return [str(label) for label in named or case.log.started.task.get("labels") or ()]


def _parts(sure: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Positions by bin: equal numbers of items, least sure first."""
    import numpy as np

    bins = max(1, min(MOST_BINS, len(sure) // ITEMS_A_BIN))
    return list(np.array_split(np.argsort(sure, kind="stable"), bins))


def _ece(sure: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    parts = _parts(sure)
    return float(sum(abs(right[p].mean() - sure[p].mean()) * len(p) for p in parts) / len(sure))


def _bins(sure: NDArray[np.float64], right: NDArray[np.float64]) -> list[dict[str, float]]:
    found = []
    for part in _parts(sure):
        share = wilson(float(right[part].sum()), len(part))
        found.append(
            {
                "confidence": rounded(sure[part].mean()),
                "right": rounded(share.value),
                "low": rounded(share.low),
                "high": rounded(share.high),
                "n": len(part),
            }
        )
    return found


def _scores(case: Case, trial: str, rows: list[Row]) -> dict[str, float | None]:
    """Brier score (0 to 2) and log-loss over the rows with probabilities of all labels."""
    labels = labels_of(case, rows[0])
    brier, loss = [], []
    for row in rows:
        shares, target = probabilities(row), case.claim.items[row.item].get("target")
        if shares is None or len(shares) != len(labels) or target not in labels:
            continue
        brier.append(sum((p - float(label == target)) ** 2 for p, label in zip(shares, labels, strict=True)))
        loss.append(-math.log(max(FLOOR, shares[labels.index(target)])))
    if not brier:
        return {"brier": None, "log_loss": None}
    return {"brier": rounded(sum(brier) / len(brier)), "log_loss": rounded(sum(loss) / len(loss))}
