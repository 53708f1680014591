"""Several labels an input, from a table to an answered file, on the fake models."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import tuningfork
from tuningfork.export import load_export
from tuningfork.log import RunLog
from tuningfork.report.html import page
from tuningfork.task import set_of

SAYS = {
    "delivery": ["the parcel came late", "the courier lost the box", "shipping took two weeks"],
    "refund": ["i want my money back", "please refund the order", "the charge must be returned"],
    "damage": ["the screen is cracked", "it arrived broken", "the corner was crushed"],
}


def rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        labels = rng.sample(sorted(SAYS), rng.choice([0, 1, 1, 2, 2, 3]))
        text = ". ".join(rng.choice(SAYS[label]) for label in labels) or "when do you open"
        made.append({"message": f"{text} {rng.random():.6f}", "labels": "; ".join(sorted(labels))})
    return made


def write(path: Path, table: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuningfork.Run:
    """A whole race."""
    folder = tmp_path_factory.mktemp("sets")
    write(folder / "mail.csv", rows(90))
    (folder / "ours.py").write_text(
        "def answer(row): return [w for w in ('refund', 'damage') if w in row['message']]\n"
    )
    task = {
        "name": "mail",
        "kind": "multilabel",
        "data": {"train": "mail.csv"},
        "columns": {"input": "message", "target": "labels"},
        "models": ["fake", "fake-encoder"],
        "contenders": ["ours:answer"],
        "budget": {"seconds": 60},
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task))
    return tuningfork.compare(folder / "task.yaml", runs=folder / "runs")


def test_every_road_that_works_on_sets_is_measured(run: tuningfork.Run) -> None:
    board = run.leaderboard().set_index("candidate")
    roads = ["majority", "head@fake-encoder", "head@fake", "lora@fake-encoder", "lora@fake", "few_shot+calibrate@fake"]
    assert all(board.loc[name, "test_items"] > 0 for name in [*roads, "zero_shot@fake", "yours:ours.answer"])
    assert not (board["status"] == "failed").any() and (board["failed_items"] == 0).all()
    assert board.loc["head@fake-encoder", "test"] > 0.8 > board.loc["majority", "test"]
    assert board.loc["few_shot+calibrate@fake", "test"] > board.loc["majority", "test"]
    assert run.verdict.metric == "samples_f1"


def test_the_log_holds_sets_and_the_report_shows_them(run: tuningfork.Run) -> None:
    log = RunLog.read(run.folder)
    assert {frozenset(item["target"]) for item in log.started.items} > {frozenset(), frozenset({"damage", "refund"})}
    said = {row.answer for row in log.rows if row.trial == "head@fake-encoder"}
    assert {"", "damage; refund"} <= said and all(set_of(answer) <= set(SAYS) for answer in said)
    shown = page(log, run.verdict.to_dict())
    assert "(no label)" in shown and "damage; refund" in shown


def test_predict_and_export_give_the_same_sets(run: tuningfork.Run, cli: Callable[..., Any], tmp_path: Path) -> None:
    new = write(tmp_path / "new.csv", rows(12, seed=9))
    out = tmp_path / "out.parquet"
    assert cli("predict", run.folder, "--in", new, "--out", out, "--quiet").exit_code == 0
    table = pd.read_parquet(out)
    assert table["failure"].isna().all() and {"damage; refund"} & set(table["answer"])
    right = [set_of(a) == set_of(b) for a, b in zip(table["answer"], table["labels"], strict=True)]
    assert sum(right) >= 9
    assert cli("export", run.folder, tmp_path / "out", "--trial", "few_shot+calibrate@fake").exit_code == 0
    candidate, _, _ = load_export(tmp_path / "out")
    prompt = json.loads((tmp_path / "out" / "prompt.json").read_text())
    assert not candidate.exclusive  # type: ignore[union-attr]
    assert "{{asked label}}" in prompt["messages"][-1]["content"] and "once for every label" in prompt["answer"]["how"]


def test_methods_of_one_label_are_skipped_with_the_reason(run: tuningfork.Run, tmp_path: Path) -> None:
    task = run.task.with_(methods=("head", "nearest_shots", "label_similarity"), contenders=())
    board = tuningfork.compare(task, runs=tmp_path).leaderboard().set_index("candidate")
    for name in ("nearest_shots@fake", "label_similarity@fake-encoder"):
        assert board.loc[name, "status"] == "skipped" and "this task is multilabel" in board.loc[name, "why"]
