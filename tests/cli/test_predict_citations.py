"""A race with documents, from the task file to rows with citations."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    "out", ["out.jsonl", *(pytest.param(out, marks=pytest.mark.slow) for out in ("out.csv", "out.parquet"))]
)
def test_what_was_looked_up_is_cited(cli: Cli, tmp_path: Path, make: Any, out: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "teams.md").write_text("# billing\nInvoices, cards, refunds.\n\n# bugs\nCrashes and errors.")
    (tmp_path / "docs" / "scan.jpg").write_bytes(b"\xff\x00\xff")
    data = {"train": "tickets.csv", "documents": "docs"}
    task = make.task(tmp_path, data=data, methods=["few_shot+retrieve"], models=["fake"])
    result = cli("compare", task, "--json")
    assert result.exit_code == 0, result.output
    assert "Of 2 documents 1 could not be read" in " ".join(result.stdout.split())
    verdict = json.loads(result.stdout.splitlines()[-1])
    assert verdict["recommended"]["candidate"] == "few_shot+retrieve@fake"
    assert verdict["leaderboard"][0]["probes"]["consistency"]["formats"] >= 8
    make.csv(Path("new.csv"), [{"text": "the cards on my invoices"}, {"text": "zzzz"}])
    folder = str(tmp_path / "taken")
    assert cli("export", verdict["run"], folder).exit_code == 0
    prompt = json.loads((tmp_path / "taken" / "prompt.json").read_text())
    assert "{{passages}}" in prompt["messages"][-1]["content"] and "{{" not in prompt["messages"][1]["content"]
    assert prompt["passages"]["by"] == "bm25"
    assert [
        json.loads(line)["source"] for line in (tmp_path / "taken" / "passages.jsonl").read_text().splitlines()
    ] == [
        "teams.md#1",
        "teams.md#2",
    ]
    for source in (verdict["run"], folder):
        assert cli("predict", source, "-i", "new.csv", "-o", out, "--quiet", "--restart").exit_code == 0
        assert [row["citations"] for row in rows(Path(out))] == ["teams.md#1", ""]


def rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_without_documents_nothing_is_added_and_the_reason_is_told(cli: Cli, small_task: Path) -> None:
    result = cli("compare", small_task, "--methods", "majority,retrieve", "--json")
    verdict = json.loads(result.stdout.splitlines()[-1])
    (why,) = {row["why"] for row in verdict["leaderboard"] if row["candidate"] == "retrieve@fake"}
    assert "this task has no documents" in why
