"""What will it cost? Labels, adapting, serving; and from which traffic on the tuned model pays back.

Nothing is assumed of what only the user knows: without a price of a label, an hour or a token the part that needs it is
left out, and the sentence says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..results import rounded
from ..words import about, enumerated, usd
from .adapting import adapting, labels_used
from .payback import payback
from .serving import serving

if TYPE_CHECKING:
    from ..rule import Case


def cost(case: Case) -> dict[str, Any] | None:
    """A row for each candidate that the claim is made about, what pays back when, and what was left out."""
    if not case.ranked:
        return None
    rows = [_row(case, trial) for trial in case.ranked]
    lacking = list(dict.fromkeys(m for row in rows for m in row.pop("missing")))
    paid = payback(case)
    told = paid.get("sentence", "")
    rest = [entry for entry in lacking if entry not in told]
    left_out = f"Left out, because the task file does not give it: {enumerated(rest)}." if rest else ""
    parts = [_spent(case, rows), _speed(case), told, left_out]
    return {"sentence": " ".join(filter(None, parts)), "rows": rows, "payback": paid, "missing": lacking}


def _row(case: Case, trial: str) -> dict[str, Any]:
    task = case.log.started.task
    served, (seconds, adapt_usd) = serving(case, trial), adapting(case, trial)
    labels, price = labels_used(case, trial), (task.get("costs") or {}).get("usd_per_label")
    monthly = (task.get("traffic") or {}).get("requests_per_month")
    missing = [served.missing] if served.missing else []
    if price is None and labels:
        missing.append("usd_per_label")
    return {
        "candidate": trial,
        "how": served.how,
        "labels": labels,
        "labels_usd": None if price is None else rounded(labels * float(price)),
        "adapt_seconds": rounded(seconds),
        "adapt_usd": None if adapt_usd is None else rounded(adapt_usd),
        "seconds_an_item": None if served.seconds is None else rounded(served.seconds),
        "usd_per_1k": None if served.usd is None else rounded(1000 * served.usd),
        "usd_a_month": None if served.usd is None or monthly is None else rounded(served.usd * float(monthly)),
        "latency_ms": case.entries[trial].latency_ms,
        "missing": missing,
    }


def _spent(case: Case, rows: list[dict[str, Any]]) -> str:
    """What the recommended one (else the best) costs, as far as it is known."""
    row = next((r for r in rows if r["candidate"] == (case.recommended or case.best)), rows[0])
    parts = []
    if row["labels_usd"] is not None:
        parts.append(f"its {row['labels']:,} labels cost {usd(row['labels_usd'])}")
    if row["adapt_usd"]:
        parts.append(f"adapting it once costs {usd(row['adapt_usd'])} ({about(row['adapt_seconds'])} s)")
    elif row["adapt_seconds"] >= 1:
        parts.append(f"adapting it once takes {about(row['adapt_seconds'])} s")
    if row["usd_per_1k"] is not None:
        month = f", {usd(row['usd_a_month'])} a month" if row["usd_a_month"] is not None else ""
        parts.append(f"1,000 requests cost {usd(row['usd_per_1k'])}{month}")
    return f"{row['candidate']}: {', '.join(parts)}." if parts else ""


def _speed(case: Case) -> str:
    latency = case.entries[case.recommended or case.ranked[0]].latency_ms
    if latency is None:
        return "Its latency was not measured."
    return f"A single request takes {latency['p50']:.3g} ms (median), 95% of them at most {latency['p95']:.3g} ms."
