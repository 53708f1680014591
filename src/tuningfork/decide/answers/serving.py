"""What one request costs: at an endpoint by its prices, on hardware of one's own by the time it takes.

    endpoint      what the race was charged, or P (1 - h) p_read + P h p_cached + T p_write from its prices
    own hardware  usd per hour / 3600 x seconds an item / utilisation

P and T are tokens read and written an item; h, the share of P that the endpoint's cache knows, is `traffic:
cached_share`. Seconds are those of the race, many items at a time on the machine that raced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...log import Measured
from ..entries import is_remote, models_in

if TYPE_CHECKING:
    from ..rule import Case

MILLION = 1e6


@dataclass(frozen=True)
class Serving:
    """USD and seconds a request; None where unknown, and `missing` says what would tell."""

    how: Literal["endpoint", "own hardware", "your function", "constant"]
    usd: float | None
    seconds: float | None
    missing: str = ""


def serving(case: Case, trial: str) -> Serving:
    """What a request to a candidate costs, as far as the log and the task's `costs` tell."""
    born = case.log.born(trial)
    data: Mapping[str, Any] = born.data if born else {}
    seconds = _seconds(case, trial)
    if data.get("type") == "constant":
        return Serving("constant", 0.0, seconds)
    models = list(dict.fromkeys(models_in(data)))
    remote = [name for name in models if is_remote(case.log, name)]
    if remote:
        return _endpoint(case, trial, remote[0], seconds, alone=len(models) == 1)
    if data.get("type") == "function":
        return Serving("your function", None, seconds, f"what a call of {trial} costs, which only you know")
    costs = case.log.started.task.get("costs") or {}
    hourly = costs.get("usd_per_hour")
    if hourly is None or seconds is None:
        what = "usd_per_hour of your hardware" if hourly is None else f"how long {trial} takes"
        return Serving("own hardware", None, seconds, what)
    return Serving("own hardware", float(hourly) / 3600 * seconds / float(costs.get("utilisation", 1.0)), seconds)


def _endpoint(case: Case, trial: str, model: str, seconds: float | None, alone: bool) -> Serving:
    """By the price list where a share of cached tokens is given (or nothing was charged), else what was charged. Where
    the model is not `alone`, nobody wrote down which tokens were whose, so only what was charged says anything."""
    charged, price = case.entries[trial].usd_per_1k, case.log.started.prices.get(model) or {}
    share = (case.log.started.task.get("traffic") or {}).get("cached_share")
    if not alone or not {"read", "write"} <= set(price) or (charged is not None and share is None):
        known = None if charged is None else charged / 1000
        return Serving("endpoint", known, seconds, "" if charged else f"the price of {model}")
    read, cached, written = (_tokens(case, trial, key) for key in ("tokens_in", "tokens_reused", "tokens_out"))
    if share is not None:
        read, cached = (read + cached) * (1 - float(share)), (read + cached) * float(share)
    dear = float(price["read"])
    cheap = dear if price.get("cached") is None else float(price["cached"])
    return Serving("endpoint", (read * dear + cached * cheap + written * float(price["write"])) / MILLION, seconds)


def _blocks(case: Case, trial: str) -> list[Measured]:
    """The blocks of the split that the claim stands on, of the newest candidate."""
    blocks = [e for e in case.log.of(Measured) if (e.trial, e.split) == (trial, case.claim.split) and e.items]
    return [e for e in blocks if e.candidate == blocks[-1].candidate]


def _seconds(case: Case, trial: str) -> float | None:
    """Seconds an item, many at a time; what a cached answer took the first time counts."""
    blocks = _blocks(case, trial)
    if not blocks:
        return None
    return sum(max(e.seconds, e.usage.get("seconds", 0.0)) for e in blocks) / sum(e.items for e in blocks)


def _tokens(case: Case, trial: str, key: str) -> float:
    blocks = _blocks(case, trial)
    return sum(e.usage.get(key, 0.0) for e in blocks) / max(1, sum(e.items for e in blocks))
