"""What came of a race, as data: the public `verdict.json`, versioned; new parts only add keys.

Candidates are named by their trial (`method@model`). Values are in the metric's own units; a difference is positive
when `a` is better than `b`, whichever way the metric runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, Literal

Outcome = Literal["clear", "close", "none"]
VERDICT_VERSION = 1


@dataclass(frozen=True)
class Verdict:
    """`best` has the highest quality, `recommended` is what to use; either is None where there is none.

    `outcome`: `clear` when the best is shown better than the best of every other family (than every other candidate,
    where there is one family only); `none` when there is nothing to choose between or nothing is shown to beat a
    baseline; else `close`. `indistinguishable` are those not shown worse than the best, which never means equal.
    `noise_floor`: what one road, taught twice, differs from itself by.
    """

    task: str
    metric: str
    higher_is_better: bool
    outcome: Outcome
    sentence: str
    scope: str
    best: str | None
    recommended: str | None
    indistinguishable: tuple[str, ...]
    comparisons: tuple[Mapping[str, Any], ...]
    leaderboard: tuple[Mapping[str, Any], ...]
    answers: Mapping[str, Any]
    families: Mapping[str, Any]
    minimum_detectable_difference: float | None
    test_looks: int
    budget: Mapping[str, Any]
    noise_floor: Mapping[str, Any] | None = None
    version: int = VERDICT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, with the keys of `verdict.json`."""
        plain = {"version": self.version, **{f.name: getattr(self, f.name) for f in fields(self)}}
        for mark in ("best", "recommended"):
            plain[mark] = {"candidate": plain[mark]} if plain[mark] else None
        return {key: deepcopy(_plain(value)) for key, value in plain.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
