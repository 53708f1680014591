"""A full run goes on where it stopped, and the page shows what full runs found."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def parts(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found: ModuleType = script("parts")
    monkeypatch.setattr(found, "HERE", tmp_path)
    monkeypatch.setattr(found, "commit", lambda: "abc")
    return found


def test_a_kept_part_is_not_run_again(parts: ModuleType) -> None:
    parts.Parts("scoring").get("a", "ours-1", lambda: {"seconds": 1.5})
    kept = parts.Parts("scoring").get("a", "ours-1", lambda: pytest.fail("ran again"))
    assert kept["seconds"] == 1.5 and kept["commit"] == "abc"


def test_again_forgets_the_cases_that_are_asked_for(parts: ModuleType) -> None:
    first = parts.Parts("scoring")
    for case in ("a", "b"):
        first.get(case, "ours-1", lambda: {"seconds": 1.5})
    second = parts.Parts("scoring")
    second.forget(["a"], theirs_too=True)
    assert second.get("a", "ours-1", lambda: {"seconds": 2.5})["seconds"] == 2.5
    assert second.get("b", "ours-1", lambda: pytest.fail("ran again"))["seconds"] == 1.5


def test_our_side_alone_can_run_again(parts: ModuleType) -> None:
    first = parts.Parts("scoring")
    for part in ("ours-1", "peer", "peer-batch", "check"):
        first.get("a", part, dict)
    second = parts.Parts("scoring")
    second.forget(["a"], theirs_too=False)
    assert set(second.kept) == {"a/peer", "a/peer-batch"}


def test_parts_of_other_work_are_forgotten(parts: ModuleType) -> None:
    first = parts.Parts("scoring")
    first.about("a", [1, 2])
    first.get("a", "ours-1", lambda: {"seconds": 1.5})
    same, other = parts.Parts("scoring"), parts.Parts("scoring")
    same.about("a", [1, 2])
    other.about("a", [1, 3])
    assert same.get("a", "ours-1", lambda: pytest.fail("ran again"))["seconds"] == 1.5
    assert other.get("a", "ours-1", lambda: {"seconds": 2.5})["seconds"] == 2.5


def test_what_is_tried_out_is_not_kept(parts: ModuleType, tmp_path: Path) -> None:
    parts.Parts("scoring", keep=False).get("a", "ours-1", lambda: {"seconds": 1.5})
    assert not (tmp_path / "results").exists()


def test_rows_of_an_earlier_run_stay_beside_new_parts(parts: ModuleType, tmp_path: Path) -> None:
    first = parts.Parts("scoring")
    first.get("a", "ours-1", lambda: {"seconds": 1.5})
    first.write({"benchmark": "scoring", "rows": [{"case": "a"}]})
    parts.Parts("scoring").get("b", "ours-1", lambda: {"seconds": 2.5})
    kept = json.loads((tmp_path / "results" / "scoring.json").read_text())
    assert kept["rows"] == [{"case": "a"}] and set(kept["parts"]) == {"a/ours-1", "b/ours-1"}


def test_a_row_holds_when_bar_and_goal_do(parts: ModuleType) -> None:
    assert parts.judged({"limit_fraction": 0.5, "ratio": 60.0}, 0.5, 60)["holds"] is True
    assert parts.judged({"limit_fraction": 0.5, "ratio": 59.0}, 0.5, 60)["holds"] is False
    assert parts.judged({"limit_fraction": 0.4, "ratio": 60.0}, 0.5, 60)["holds"] is False


SCORED = {"fp32_nats_apart": 1e-3, "decisions": 200, "differ": 3, "differ_under_floor": 2}
WRITTEN = {"fp32_same": 8, "fp32_items": 8, "answers": 200, "differ": 90, "differ_under_floor": 89}


@pytest.mark.parametrize(
    ("name", "check", "worse"),
    [
        ("scoring", SCORED, {"fp32_nats_apart": 2e-3}),
        ("scoring", SCORED, {"differ": 4}),
        ("scoring", SCORED, {"decisions": 199}),
        ("generation", WRITTEN, {"fp32_same": 7}),
        ("generation", WRITTEN, {"differ_under_floor": 88}),
    ],
)
def test_a_row_holds_only_with_the_same_answers(
    script: Any, name: str, check: dict[str, Any], worse: dict[str, Any]
) -> None:
    benchmark = script(name)
    assert benchmark.answers_hold(check) and not benchmark.answers_hold({**check, **worse})


def test_that_the_answers_hold_stands_in_the_row(script: Any) -> None:
    """What was recorded of GSM8K parts once above the floor, in 64 answers: too often."""
    (row,) = script("parts").recorded("generation")["rows"]
    assert (row["check"]["differ"], row["check"]["differ_under_floor"]) == (39, 38)
    assert not script("generation").answers_hold(row["check"])


def test_an_answer_from_a_cache_is_no_result(parts: ModuleType) -> None:
    parts.must_have_read("a", [{"tokens_in": 10}], 10)
    with pytest.raises(SystemExit, match="a cache answered"):
        parts.must_have_read("a", [{"tokens_in": 9}], 10)


def test_the_page_shows_the_recorded_results(script: Any) -> None:
    table = script("table")
    text = table.PAGE.read_text(encoding="utf-8")
    shown = text.partition(table.BEGIN)[2].partition(table.END)[0]
    assert shown == "\n" + "\n".join(table.lines()) + "\n", "run: python benchmarks/table.py --write"
