"""Examples where the roads disagree: what a person reads to see why one is better.

An example that all get right, or all get wrong, says nothing about the choice between them; so only those are shown on
which finalists other than baselines differ. First come those on which the best and the recommended differ, then those
with the widest spread of scores, then those that split the finalists most evenly, then those on which somebody was
surest of the worse answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..log import Row, RunLog, SplitName
from ..task import set_text
from . import words
from .words import Scale

NO_LABEL = "(no label)"
"""What is shown for the empty set."""


@dataclass(frozen=True)
class Said:
    """One road's answer to an example, cut like its text. `mark`: right, wrong, failed, or the score as a number."""

    trial: str
    answer: str
    rest: str
    mark: str
    confidence: str


@dataclass(frozen=True)
class Disagreement:
    """An example and what each road said; its text is cut in a beginning and a rest."""

    item: str
    group: str
    text: str
    rest: str
    wanted: str
    said: tuple[Said, ...]


def disagreements(
    log: RunLog, verdict: Mapping[str, Any], scale: Scale, most: int = 20
) -> tuple[SplitName, list[Disagreement]]:
    """At most `most` examples of test (of dev, where no test was opened) on which finalists differ, most telling first.

    Also gives the split they are from. With fewer than two finalists measured, all measured trials take part.
    """
    split: SplitName = "test" if log.results("test") else "dev"
    results = log.results(split)
    order = [str(row["candidate"]) for row in verdict["leaderboard"] if row["candidate"] in results]
    finalists = [str(row["candidate"]) for row in verdict["leaderboard"] if row["status"] == "finalist"]
    roads = [trial for trial in order if trial in finalists]
    roads = roads if len(roads) >= 2 else order
    # that a baseline is wrong tells nothing, unless there is nothing else to compare
    families = {str(row["candidate"]): row["family"] for row in verdict["leaderboard"]}
    serious = [trial for trial in roads if families[trial] != "baseline"]
    compared = serious if len(serious) >= 2 else roads
    # the best and the recommended decide the choice, so their differences weigh most
    chosen = {words.name_of(verdict.get(mark)) for mark in ("best", "recommended")}
    ranked = []
    for position, item in enumerate(i for i in log.started.items if i.get("split") == split):
        rows = {trial: results[trial][item["id"]] for trial in roads if item["id"] in results[trial]}
        scores = {t: row.score for t, row in rows.items() if row.score is not None and t in compared}
        if len(set(scores.values())) < 2:
            continue
        spread = max(scores.values()) - min(scores.values())
        mean = sum(scores.values()) / len(scores)
        uneven = abs(mean - (max(scores.values()) + min(scores.values())) / 2)
        of_chosen = len({score for trial, score in scores.items() if trial in chosen}) > 1
        worst = min(scores.values()) if scale.higher_is_better else max(scores.values())
        surest = max(rows[trial].confidence or 0.0 for trial, score in scores.items() if score == worst)
        ranked.append(((not of_chosen, -spread, round(uneven, 9), -surest, position), item, rows))
    ranked.sort(key=lambda entry: entry[0])
    sets = log.started.task.get("kind") == "multilabel"
    return split, [_shown(item, rows, roads, scale, sets) for _, item, rows in ranked[:most]]


def _shown(
    item: Mapping[str, Any], rows: Mapping[str, Row], roads: list[str], scale: Scale, sets: bool
) -> Disagreement:
    text, rest = words.cut(str(item.get("text") or item["id"]))
    said = tuple(_said(rows[trial], scale, sets) for trial in roads if trial in rows)
    wanted = _wanted(item.get("target"), sets)
    return Disagreement(str(item["id"]), str(item.get("group") or ""), text, rest, wanted, said)


def _said(row: Row, scale: Scale, sets: bool) -> Said:
    confidence = "" if row.confidence is None else f"{100 * row.confidence:.0f}% sure"
    if row.score is None:
        return Said(row.trial, *words.cut(str(row.failure or "no answer"), 40, 260), "failed", "")
    return Said(
        row.trial, *words.cut(row.answer or (NO_LABEL if sets else ""), 40, 260), scale.goodness(row.score), confidence
    )


def _wanted(target: Any, sets: bool) -> str:
    if target is None:
        return ""
    if sets:
        return set_text(target) or NO_LABEL
    return target if isinstance(target, str) else ", ".join(sorted(map(str, target)))
