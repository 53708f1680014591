"""What people said of finalists' answers, side by side and blind: `ratings.jsonl` in a run's folder, a line a rating.

A person sees two answers without names and says which is better. The two are compared by the sign test over the
ratings that chose (ties choose nothing and are counted), each item once: what was said last counts. Grades of single
answers, which correct a judge, are another file (`grades`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import DataError
from ..stats.intervals import wilson
from ..stats.paired import mcnemar
from ..store.lines import append_line
from .results import rounded

FILE = "ratings.jsonl"
Choice = Literal["a", "b", "tie", "skip"]


@dataclass(frozen=True)
class Rating:
    """One judgement: of the answers of trials `a` and `b` to an item, which is better. `left`: whose stood left."""

    item: str
    a: str
    b: str
    choice: Choice
    left: str
    seed: int
    time: str


def ratings(folder: Path) -> list[Rating]:
    """All ratings of a run's folder, one an item and pair: the last. A half-written last line is dropped. Raises
    DataError for a damaged line, by number."""
    path = folder / FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    found: dict[tuple[str, str, str], Rating] = {}
    for position, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rating = Rating(**json.loads(line))
        except (ValueError, TypeError):
            if position == len(lines):
                break
            raise DataError(f"{path}, line {position}, is no rating. Mend it, or take the line out.") from None
        found[rating.item, rating.a, rating.b] = rating
    return list(found.values())


def add_rating(folder: Path, rating: Rating) -> None:
    """Append one rating; it is on disk when this returns."""
    append_line(folder / FILE, asdict(rating))


def summary(found: list[Rating]) -> list[dict[str, Any]]:
    """For each pair of trials: how often each was chosen, the share that chose `a` with Wilson's interval, and the
    sign test's mid-p."""
    pairs = dict.fromkeys((rating.a, rating.b) for rating in found)
    return [_pair(a, b, [r for r in found if (r.a, r.b) == (a, b)]) for a, b in pairs]


def _pair(a: str, b: str, of: list[Rating]) -> dict[str, Any]:
    counts = {choice: sum(r.choice == choice for r in of) for choice in ("a", "b", "tie", "skip")}
    chose = counts["a"] + counts["b"]
    told: dict[str, Any] = {"a": a, "b": b, "for_a": counts["a"], "for_b": counts["b"], "ties": counts["tie"]}
    if not chose:
        return {**told, "share": None, "low": None, "high": None, "p": None, "n": 0}
    share = wilson(counts["a"], chose)
    ends = {"share": rounded(share.value), "low": rounded(share.low), "high": rounded(share.high)}
    return {**told, **ends, "p": rounded(mcnemar(counts["a"], counts["b"])), "n": chose}
