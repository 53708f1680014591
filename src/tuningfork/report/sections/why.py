"""Why? What each road alone gets right, classes and groups, confusions, calibration, labels that look wrong, and the
examples on which the roads disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...log import RunLog
from .. import charts, questions, words
from ..disagree import disagreements
from ..words import Scale

OPEN_KINDS = 12
"""Of more classes or groups than these, the weakest stand open and the others are folded away."""


def section(log: RunLog, verdict: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """For why.html."""
    answer = verdict.get("answers", {}).get("why") or {}
    split, examples = disagreements(log, verdict, scale)
    return {
        "said": questions.sentences(answer),
        "only_right": answer.get("only_right", []),
        "kinds": [
            table
            for title, key in (("By class", "classes"), ("By group", "groups"))
            if (table := _kinds(title, answer.get(key, []), scale))
        ],
        "confusion": answer.get("confusion") or {},
        "chart": charts.reliability(answer.get("calibration", []), _families(verdict)),
        "calibration": [_calibration(entry) for entry in answer.get("calibration", [])],
        "probes": [_probe(entry, scale) for entry in answer.get("probes", [])],
        "errors": _errors(log, answer.get("label_errors")),
        "split": split,
        "examples": examples,
    }


def _families(verdict: Mapping[str, Any]) -> dict[str, str]:
    return {str(row["candidate"]): str(row["family"]) for row in verdict["leaderboard"]}


def _kinds(title: str, kinds: Sequence[Mapping[str, Any]], scale: Scale) -> dict[str, Any] | None:
    """A table of classes or groups, weakest (for the first candidate) first, the tint by value."""
    if not kinds:
        return None
    sign = 1 if scale.higher_is_better else -1
    ordered = sorted(kinds, key=lambda kind: sign * _value(kind["by"][0], scale))
    rows = [{"name": k["name"], "items": k["items"], "few": k["few"], "cells": _cells(k, scale)} for k in ordered]
    names = [entry["candidate"] for entry in kinds[0]["by"]]
    return {"title": title, "names": names, "open": rows[:OPEN_KINDS], "folded": rows[OPEN_KINDS:]}


def _value(entry: Mapping[str, Any], scale: Scale) -> float:
    worst = scale.low if scale.higher_is_better else scale.high
    return float(entry["value"]) if entry["value"] is not None else worst


def _cells(kind: Mapping[str, Any], scale: Scale) -> list[dict[str, Any]]:
    span = scale.high - scale.low
    return [
        {
            "shown": scale.value(entry["value"]) if entry["n"] else "-",
            "between": f"{scale.number(entry['low'])} to {scale.number(entry['high'])}" if entry["n"] else "",
            "tint": round(100 * (_value(entry, scale) - scale.low) / span) if entry["n"] and 0 < span < 1e9 else 0,
        }
        for entry in kind["by"]
    ]


def _calibration(entry: Mapping[str, Any]) -> dict[str, Any]:
    def number(key: str) -> str:
        return "-" if entry.get(key) is None else f"{entry[key]:.3f}"

    if "ece" not in entry:
        return {"trial": entry["candidate"], "said": entry.get("said", "")}
    ends = f"{100 * entry['ece']:.1f} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"
    bins = "; ".join(
        f"{100 * b['confidence']:.0f}% sure: {100 * b['right']:.0f}% right of {b['n']}" for b in entry["bins"]
    )
    return {
        "trial": entry["candidate"],
        "ece": ends,
        "brier": number("brier"),
        "loss": number("log_loss"),
        "bins": bins,
    }


def _probe(entry: Mapping[str, Any], scale: Scale) -> dict[str, str]:
    values = entry["values"]
    known = {"forgetting": words.forgotten(values), "consistency": words.reworded(values, scale)}
    said = known.get(entry["probe"], "")
    numbers = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in values.items())
    return {"trial": entry["candidate"], "probe": entry["probe"], "said": said or numbers}


def _errors(log: RunLog, errors: Any) -> dict[str, Any] | None:
    if not isinstance(errors, Mapping) or not errors.get("items"):
        return None
    texts = {str(item["id"]): str(item.get("text") or item["id"]) for item in log.started.items}
    rows = [{**entry, "text": words.cut(texts.get(entry["item"], ""), 40, 220)} for entry in errors["items"]]
    return {**errors, "rows": rows}
