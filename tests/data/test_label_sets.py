"""Sets of labels: read, understood, looked over, dealt out."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.data.check import check
from tuningfork.data.label_sets import flags_in, is_flag, labels_in, looks_like_sets, separator_of
from tuningfork.data.load import labels_of, load
from tuningfork.data.sniff import sniff
from tuningfork.data.split import deal
from tuningfork.data.taskfile import load_task, write_task
from tuningfork.errors import DataError, UnknownName
from tuningfork.task import Columns, Sources, Task

LABELS = ("damage", "late delivery", "praise", "refund")


def rows(count: int = 80, seed: int = 0) -> list[tuple[str, frozenset[str]]]:
    """Texts and none to three labels; the last label is rare."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        names = rng.sample(LABELS[:3], rng.choice([0, 1, 1, 2]))
        names += ["refund"] if number % 10 == 0 else []
        made.append(
            (f"message {number} of {rng.random():.9f} about {' and '.join(names) or 'nothing'}", frozenset(names))
        )
    return made


def write(path: Path, columns: dict[str, Sequence[Any]]) -> Path:
    lines = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    else:
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(lines)
    return path


TEXTS, SETS = [text for text, _ in rows()], [labels for _, labels in rows()]
FORMS: dict[str, dict[str, Sequence[Any]]] = {
    "semicolons.csv": {"labels": ["; ".join(sorted(s)) for s in SETS]},
    "commas.csv": {"tags": [",".join(sorted(s)) for s in SETS]},
    "bars.csv": {"label": ["|".join(sorted(s)) for s in SETS]},
    "python.csv": {"labels": [str(sorted(s)) for s in SETS]},
    "lists.jsonl": {"labels": [sorted(s) for s in SETS]},
    "flags.csv": {name: [int(name in s) for s in SETS] for name in LABELS},
    "truths.jsonl": {name: [name in s for s in SETS] for name in LABELS},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_understood_and_read_as_the_same_sets(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"text": TEXTS, **FORMS[name]})
    found = sniff(path)
    assert found.task.kind == "multilabel" and "any number of which may apply" in " ".join(found.said)
    dataset = load(found.task)
    assert [e.target for e in dataset.train] == SETS and dataset.labels == tuple(LABELS)
    empty = sum(not labels for labels in SETS)
    assert any(f"{empty} of 80 rows have no label" in note for note in dataset.notes)
    assert not [f for f in check(found.task, dataset) if f.level != "note"]
    write_task(found.task, tmp_path / "task.yaml")
    assert load_task(tmp_path / "task.yaml") == found.task


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["a", "b", "a;b", "b;a"] * 5, ";"),
        (["Paris, France", "Lyon, France", "Bonn, Germany", "Ulm, Germany"] * 9, None),
        (["1,234", "2,345", "1,345"] * 9, None),
        (["refund", "praise"] * 20, None),
        (["I like it, thanks", "No, I do not like it at all, never"] * 9, None),
        ([["yes", f"answer {n}"] for n in range(30)], None),
    ],
)
def test_what_looks_like_sets(cells: list[Any], separator: str | None) -> None:
    assert looks_like_sets(cells) == separator


@given(st.lists(st.frozensets(st.sampled_from(["a", "b c", "d"])), min_size=1))
def test_cells_are_read_back(sets: list[frozenset[str]]) -> None:
    cells = ["; ".join(s) for s in sets]
    assert [labels_in(cell, separator_of(cells)) for cell in cells] == sets
    assert [labels_in(json.dumps(list(s)), ";") for s in sets] == sets
    assert [labels_in(list(s), ";") for s in sets] == sets


def test_no_cell_is_no_set() -> None:
    assert labels_in(None, ";") is None and labels_in(float("nan"), ";") is None and labels_in("", ";") == frozenset()
    assert labels_in([True, 3, " a "], ";") == {"true", "3", "a"}


def test_flags() -> None:
    assert is_flag(["0", "1", None]) and not is_flag(["1", "1"]) and not is_flag(["0", "2"]) and not is_flag([])
    assert flags_in({"a": 1, "b": 0, "c": None, "d": "True"}, ["a", "b", "c", "d"]) == {"a", "d"}
    with pytest.raises(DataError, match="'b' holds 'perhaps', which is neither 0 nor 1"):
        flags_in({"b": "perhaps"}, ["b"])


def task(path: Path, **about: Any) -> Task:
    columns = Columns(("text",), "labels")
    return Task("t", "multilabel", Sources(path.name), columns, folder=str(path.parent), **about)


def test_labels_that_train_lacks_and_rows_that_say_nothing(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", {"text": TEXTS, "labels": [sorted(s) for s in SETS[:-1]] + [None]})
    write(tmp_path / "test.jsonl", {"text": [f"new {n}" for n in range(3)], "labels": [["praise"], ["new one"], []]})
    opened = task(train).with_(data=Sources("train.jsonl", "test.jsonl"))
    dataset = load(opened)
    assert any("1 of 80 rows have an empty target" in note for note in dataset.notes)
    found = {finding.about: finding for finding in check(opened, dataset)}
    assert found["unknown-labels"].level == "error" and "'new one' (1 rows)" in found["unknown-labels"].text


def test_what_check_says_of_sets(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", {"text": TEXTS, "labels": [[sorted(s)[0] if s else "other"] for s in SETS]})
    assert "single-labels" in {f.about for f in check(task(one), load(task(one)))}
    none = write(tmp_path / "none.jsonl", {"text": TEXTS, "labels": [[] for _ in SETS]})
    assert [f.about for f in check(task(none), load(task(none))) if f.level == "error"] == ["one-label"]
    rare = [["rare"] if n < 3 else ["a", "b"][: n % 3] for n in range(80)]
    few = write(tmp_path / "few.jsonl", {"text": TEXTS, "labels": rare})
    assert any("'rare' has 3" in f.text for f in check(task(few), load(task(few))))


def test_a_classification_of_sets_is_told_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", {"text": TEXTS, "labels": ["; ".join(sorted(s)) or "other" for s in SETS]})
    wrong = task(path).with_(kind="classification")
    assert any("write kind: multilabel" in f.text for f in check(wrong, load(wrong)))
    lists = write(tmp_path / "b.jsonl", {"text": TEXTS, "labels": [sorted(s) for s in SETS]})
    with pytest.raises(DataError, match="write kind: multilabel"):
        load(task(lists).with_(kind="classification"))


def test_a_flag_that_is_no_column_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", {"text": TEXTS, **FORMS["flags.csv"]})
    columns = Columns(("text",), "", flags=("damage", "refnd"))
    with pytest.raises(UnknownName, match="Did you mean 'refund'"):
        load(task(path).with_(columns=columns))


def test_rare_labels_come_to_every_part(tmp_path: Path) -> None:
    made = rows(200)
    path = write(tmp_path / "a.jsonl", {"text": [t for t, _ in made], "labels": [sorted(s) for _, s in made]})
    opened = task(path)
    split = deal(opened, load(opened))
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    counts = {name: Counter(label for e in part for label in labels_of(e)) for name, part in parts.items()}
    assert counts["test"]["refund"] == 6 and counts["dev"]["refund"] >= 3 and counts["train"]["refund"] >= 7
    assert deal(opened, load(opened)) == split
