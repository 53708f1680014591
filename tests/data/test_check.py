"""Every finding is found, and nothing on clean data."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tuningfork.data.check import Finding, check, smallest_difference
from tuningfork.data.load import Dataset, load
from tuningfork.data.taskfile import load_task
from tuningfork.task import Columns, Example, Sources, Task

EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = Task("t", "classification", Sources("a"), Columns(("text",), "label"))
LONG = "the parcel with my order never came and nobody answers the phone at your office"


def rows(labels: list[str], part: str = "r") -> tuple[Example, ...]:
    return tuple(Example(f"{part}{i}", {"text": f"{part} {i}"}, label) for i, label in enumerate(labels))


def data(train: tuple[Example, ...], test: tuple[Example, ...] | None = None, notes: tuple[str, ...] = ()) -> Dataset:
    return Dataset(train, test, labels=tuple(sorted({e.answer for e in train})), notes=notes)


def found(about: str, dataset: Dataset, task: Task = TASK) -> Finding:
    matches = [finding for finding in check(task, dataset) if finding.about == about]
    assert len(matches) == 1, check(task, dataset)
    return matches[0]


AB = rows(["a", "b"] * 15)


def test_clean_data() -> None:
    assert check(TASK, data(AB)) == ()
    assert check(TASK, data(AB, rows(["a", "b"] * 50, "t"))) == ()


@pytest.mark.parametrize("name", ["tickets", "orders"])
def test_the_tasks_that_ship_are_clean(name: str) -> None:
    task = load_task(EXAMPLES / name / "task.yaml")
    assert check(task, load(task)) == ()


def test_one_label() -> None:
    finding = found("one-label", data(rows(["a"] * 30)))
    assert finding.level == "error" and "'a'" in finding.text


def test_labels_that_train_lacks() -> None:
    finding = found("unknown-labels", data(AB, rows(["a", "c", "c", "d"] * 30, "t")))
    assert finding.level == "error" and "'c' (60 rows), 'd' (30 rows)" in finding.text and "train lacks" in finding.text


def test_labels_that_the_task_does_not_name() -> None:
    dataset = Dataset(AB, None, labels=("a", "z"))
    finding = found("unknown-labels", dataset, TASK.with_(labels=("a", "z")))
    assert "'b' (15 rows)" in finding.text and "`labels`" in finding.text


@pytest.mark.parametrize(("kind", "rows_", "least"), [("classification", 19, 20), ("generation", 9, 10)])
def test_too_few_rows(kind: str, rows_: int, least: int) -> None:
    task = TASK.with_(kind=kind)
    finding = found("few", data(rows((["a", "b"] * 10)[:rows_])), task)
    assert finding.level == "error" and str(rows_) in finding.text and str(least) in finding.text
    assert "few" not in {f.about for f in check(task, data(rows((["a", "b"] * 10)[:least])))}


def test_too_few_of_a_label() -> None:
    finding = found("few-per-label", data((*AB, *rows(["rare"], "x"))))
    assert finding.level == "error" and "at least 2" in finding.text and "'rare' has 1" in finding.text


def test_uneven_labels() -> None:
    finding = found("uneven", data(rows(["a"] * 90 + ["b"] * 9)))
    assert finding.level == "note" and "'a' has 90" in finding.text and "91%" in finding.text


def test_one_text_two_labels() -> None:
    torn = (Example("x", {"text": LONG}, "a"), Example("y", {"text": LONG.upper()}, "b"))
    finding = found("contradictions", data((*AB, *torn)))
    assert finding.level == "warning" and "'a' and 'b'" in finding.text and "the parcel" in finding.text


def test_near_duplicates_inside_and_across() -> None:
    same = tuple(Example(f"s{i}", {"text": LONG + "!" * i}, "a") for i in range(3))
    inside = found("near-duplicates", data((*AB, *same)))
    assert inside.level == "warning" and "2 of 33" in inside.text and "3 times" in inside.text
    test = (*rows(["a", "b"] * 50, "t"), Example("leak", {"text": LONG}, "a"))
    across = found("leaks", data((*AB, *same[:1]), test))
    assert across.level == "warning" and "1 of 101" in across.text and "leak" in across.text and "s0" in across.text


def test_labels_that_look_alike() -> None:
    finding = found("alike", data(rows(["how to", "How_To", "bugs"] * 10)))
    assert finding.level == "warning" and "'How_To' and 'how to'" in finding.text


def test_clusters_on_both_sides() -> None:
    train = tuple(Example(f"r{i}", {"text": f"r {i}"}, "ab"[i % 2], cluster=f"c{i}") for i in range(30))
    test = tuple(Example(f"t{i}", {"text": f"t {i}"}, "ab"[i % 2], cluster=f"c{i + 29}") for i in range(120))
    assert "'c29'" in found("shared-clusters", data(train, test)).text


def test_long_texts_small_tests_and_notes() -> None:
    long = Example("long", {"text": "word " * 2000}, "a")
    dataset = data((*AB, long), rows(["a", "b"] * 10, "t"), ("3 of 9 rows have an empty input and were left out.",))
    assert "long, 2000" in found("long", dataset).text
    assert "20 rows" in found("small-test", dataset).text and "28 points" in found("small-test", dataset).text
    assert found("rows", dataset).text.startswith("3 of 9")


def test_errors_come_first() -> None:
    found = check(TASK, data((*AB, *rows(["A"], "x")), None, ("a note",)))
    assert [f.about for f in found] == ["few-per-label", "alike", "uneven", "rows"]
    assert [f.level for f in found] == ["error", "warning", "note", "note"]


def test_the_smallest_difference_is_the_textbook_one() -> None:
    # z(0.975) + z(0.8) = 1.96 + 0.8416 standard errors; the variance of a paired difference is at most the discordance.
    assert smallest_difference(1000) == pytest.approx((1.95996 + 0.84162) * math.sqrt(0.2 / 1000), rel=0.01)
