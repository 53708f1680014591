"""Why: where candidates are right and wrong, whether they know it, and labels that look wrong."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_decide import Log, Trial, some
from tuningfork.candidate import Single
from tuningfork.decide import decide
from tuningfork.decide.answers.calibration import probabilities
from tuningfork.log import Row, RunLog

LABELS = ("a", "b", "c")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "run")


def why(made: RunLog) -> dict[str, Any]:
    found: dict[str, Any] = decide(made).to_dict()["answers"]["why"]
    return found


def telling(log: Log, n: int = 120, wrong_labels: tuple[int, ...] = (), sure: float = 0.9) -> RunLog:
    """Two candidates that score labels: nine answers in ten are the true one. The items at `wrong_labels` bear another
    label than their true one."""
    rng = random.Random(0)
    true = [LABELS[k % 3] for k in range(n)]
    log.targets = [LABELS[(k + 1) % 3] if k in wrong_labels else true[k] for k in range(n)]
    log.task = {"labels": list(LABELS)}
    trials, told = {}, {}
    for name in ("lora@m", "zero_shot@m"):
        said = [t if k in wrong_labels or rng.random() < 0.9 else rng.choice(LABELS) for k, t in enumerate(true)]
        scores = [float(a == t) for a, t in zip(said, log.targets, strict=True)]
        trials[name] = Trial(scores, answers=said, candidate=Single("m", LABELS, words=(name,) * 3))
        told[name] = said
    made = log.write(trials)
    return replace(made, rows=tuple(_telling(row, sure) for row in made.rows))


def _telling(row: Row, sure: float) -> Row:
    nats = tuple(math.log(sure) if label == row.answer else math.log((1 - sure) / 2) for label in LABELS)
    return replace(row, nats=nats, confidence=sure)


def test_items_that_one_road_alone_gets_right_are_counted(log: Log) -> None:
    first = [1.0] * 50 + [0.0] * 50
    second = [0.0] * 30 + [1.0] * 30 + [0.0] * 40
    found = why(log.write({"lora@m": Trial(first), "few_shot@m": Trial(second), "head@m": Trial(first)}))
    assert [(r["candidate"], r["items"], r["of"]) for r in found["only_right"]] == [
        ("head@m", 30, 100),
        ("few_shot@m", 10, 100),
    ]
    assert "Of 100 test items, right by one road only: head@m 30, few_shot@m 10." in found["sentence"]


def test_classes_have_shares_with_intervals_and_small_ones_are_marked(log: Log) -> None:
    log.targets = ["a"] * 60 + ["b"] * 20
    found = why(log.write({"lora@m": Trial([1.0] * 30 + [0.0] * 30 + [1.0] * 20)}))
    rows = {row["name"]: row for row in found["classes"]}
    assert (rows["a"]["items"], rows["a"]["few"], rows["b"]["few"]) == (60, False, True)
    share = rows["a"]["by"][0]
    assert share["low"] < share["value"] == 0.5 < share["high"] and share["n"] == 60
    assert "lora@m is weakest on a: 50.0% right (95% between" in found["sentence"]


def test_groups_are_a_table_where_items_have_them(log: Log) -> None:
    made = log.write({"lora@m": Trial(some(80, 60))})
    assert why(made)["groups"] == []
    started = made.started
    items = tuple({**item, "group": "mail" if k % 2 else "chat"} for k, item in enumerate(started.items))
    found = why(replace(made, events=(replace(started, items=items), *made.events[1:])))
    assert {row["name"]: row["items"] for row in found["groups"]} == {"mail": 40, "chat": 40}


def test_confusions_come_most_frequent_first(log: Log) -> None:
    log.targets = ["a"] * 20
    trial = Trial([0.0] * 8 + [1.0] * 12, answers=["b"] * 5 + ["c"] * 3 + ["a"] * 12)
    found = why(log.write({"lora@m": trial}))
    assert found["confusion"]["pairs"] == [
        {"wanted": "a", "said": "b", "items": 5},
        {"wanted": "a", "said": "c", "items": 3},
    ]
    assert "Most often it says b for a (5 times)." in found["sentence"]


def test_one_who_knows_has_a_smaller_calibration_error_than_one_who_boasts(log: Log, tmp_path: Path) -> None:
    honest = why(telling(log, n=300, sure=0.93))["calibration"][0]
    boasting = why(telling(Log(tmp_path / "other"), n=300, sure=0.999))["calibration"][0]
    assert honest["ece"] < boasting["ece"] and honest["log_loss"] < boasting["log_loss"]
    assert honest["low"] <= honest["ece"] <= honest["high"] and 0 <= honest["brier"] <= 2
    assert sum(b["n"] for b in honest["bins"]) == 300


def test_too_few_items_to_judge_calibration(log: Log) -> None:
    assert why(telling(log, n=30))["calibration"][0]["said"] == "too few items to judge: 30 of 50"


def test_planted_label_errors_are_found_and_good_labels_are_left_alone(log: Log) -> None:
    planted = (3, 40, 77, 100)
    found = why(telling(log, wrong_labels=planted))["label_errors"]
    suspected = {entry["item"] for entry in found["items"]}
    assert {f"test{k}" for k in planted} <= suspected and len(suspected) < 12
    first = next(entry for entry in found["items"] if entry["item"] == "test3")
    assert (first["label"], first["suggested"]) == ("b", "a") and first["agree"]


def test_one_that_is_mostly_wrong_suspects_nobody(log: Log) -> None:
    made = telling(log)
    rows = tuple(replace(row, score=0.0) if k % 5 else row for k, row in enumerate(made.rows))
    assert why(replace(made, rows=rows))["label_errors"] is None


def test_without_probabilities_there_are_no_suspects(log: Log) -> None:
    assert why(log.write({"lora@m": Trial(some(80, 60))}))["label_errors"] is None


def test_written_answers_have_no_classes_and_no_confusions(log: Log) -> None:
    log.task = {"kind": "generation"}
    found = why(log.write({"lora@m": Trial(some(80, 60)), "few_shot@m": Trial(some(80, 40, 1))}))
    assert found["classes"] == [] and found["confusion"]["pairs"] == [] and found["label_errors"] is None


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=8))
def test_probabilities_add_up_and_keep_their_order(nats: list[float]) -> None:
    shares = probabilities(Row("t", "c", "test", 0, "i", "a", 1.0, None, None, 0.0, tuple(nats)))
    assert shares is not None and sum(shares) == pytest.approx(1.0)
    assert sorted(range(len(nats)), key=lambda k: nats[k]) == sorted(
        range(len(nats)), key=lambda k: (shares[k], nats[k])
    )
