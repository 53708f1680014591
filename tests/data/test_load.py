"""Rows to Examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tuningfork.data.load import Dataset, inputs_of, load
from tuningfork.errors import DataError, UnknownName
from tuningfork.task import Columns, Sources, Task

TWO = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]


def loaded(
    tmp_path: Path, rows: list[dict[str, Any]], test: list[dict[str, Any]] | None = None, **changes: Any
) -> Dataset:
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if test is not None:
        (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test))
    data = Sources("train.jsonl", None if test is None else "test.jsonl")
    task = Task("t", "classification", data, Columns(("text",), "label"), folder=str(tmp_path))
    return load(task.with_(**changes))


def test_ids_labels_and_order(tmp_path: Path) -> None:
    found = loaded(tmp_path, [{"text": "b", "label": "y"}, {"text": "a", "label": "x"}], TWO)
    assert [e.id for e in found.train] == ["train-row-00001", "train-row-00002"]
    assert [e.id for e in found.test or ()] == ["test-row-00001", "test-row-00002"]
    assert found.labels == ("x", "y") and found.train[0].target == "y" and found.notes == ()
    assert loaded(tmp_path, TWO, labels=("y", "x")).labels == ("y", "x")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (True, "true"), (4.5, "4.5"), (" billing ", "billing"), (["only"], "only"), ({"a": 1}, '{"a": 1}')],
)
def test_values_become_text(tmp_path: Path, value: object, text: str) -> None:
    assert loaded(tmp_path, [{"text": "a", "label": value}]).train[0].target == text


def test_rows_without_input_or_target_are_left_out_and_said(tmp_path: Path) -> None:
    rows = [*TWO, {"text": "  ", "label": "x"}, {"text": "c", "label": ""}, {"text": "d", "label": None}, {"text": "e"}]
    found = loaded(tmp_path, rows)
    assert [e.inputs["text"] for e in found.train] == ["a", "b"]
    assert "1 of 6 rows have an empty input" in found.notes[0] and "3 of 6 rows have an empty target" in found.notes[1]
    with pytest.raises(DataError, match="none has both"):
        loaded(tmp_path, [{"text": "a", "label": ""}])


def test_one_of_several_inputs_may_be_empty(tmp_path: Path) -> None:
    rows = [{"title": "", "text": "a", "label": "x"}, {"title": "", "text": "", "label": "x"}]
    found = loaded(tmp_path, rows, columns=Columns(("title", "text"), "label"))
    assert [dict(e.inputs) for e in found.train] == [{"title": "", "text": "a"}]


@pytest.mark.parametrize(
    "columns", [Columns(("txt",), "label"), Columns(("text",), "lable"), Columns(("text",), "label", id="idd")]
)
def test_a_misnamed_column(tmp_path: Path, columns: Columns) -> None:
    with pytest.raises(UnknownName, match=r"train\.jsonl.*Known: id, label, text"):
        loaded(tmp_path, [{"id": 1, "text": "a", "label": "x"}], columns=columns)


def test_duplicate_ids_inside_a_file(tmp_path: Path) -> None:
    rows = [{"id": n, "text": "a", "label": "x"} for n in (7, 8, 9, 8)]
    with pytest.raises(DataError, match="rows 2 and 4 have the same id '8'"):
        loaded(tmp_path, rows, columns=Columns(("text",), "label", id="id"))


def test_the_same_ids_in_both_files_are_told_apart(tmp_path: Path) -> None:
    rows = [{"id": 0, **TWO[0]}, {"id": 1, **TWO[1]}]
    found = loaded(tmp_path, rows, rows, columns=Columns(("text",), "label", id="id"))
    assert [e.id for e in found.train] == ["train-0", "train-1"] and [e.id for e in found.test or ()] == [
        "test-0",
        "test-1",
    ]
    assert "2 ids" in found.notes[0]


def test_several_acceptable_texts(tmp_path: Path) -> None:
    columns = Columns(("input",), "output")
    rows = [{"input": "a", "output": ["x", "y", "x", ""]}, {"input": "b", "output": "z", "references": ["z", "w"]}]
    found = loaded(tmp_path, rows, kind="generation", columns=columns)
    assert [e.target for e in found.train] == [("x", "y"), ("z", "w")] and found.labels == ()


def test_several_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2: A row has 2 labels"):
        loaded(tmp_path, [TWO[0], {"text": "a", "label": ["x", "y"]}])


def test_groups_clusters_and_chats(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"}]
    rows = [{"messages": turns, "lang": "en", "thread": 5}]
    found = loaded(tmp_path, rows, columns=Columns(("user",), "assistant", group="lang", cluster="thread"))
    example = found.train[0]
    assert (dict(example.inputs), example.target, example.group, example.cluster) == ({"user": "hello"}, "x", "en", "5")


def test_halves_of_an_emoji_are_replaced_and_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"text": "hm \\ud83d", "label": "x"}\n{"text": "ok \\ud83d\\ude42", "label": "y"}\n'
    )
    task = Task("t", "classification", Sources("train.jsonl"), Columns(("text",), "label"), folder=str(tmp_path))
    found = load(task)
    assert [e.inputs["text"] for e in found.train] == ["hm \N{REPLACEMENT CHARACTER}", "ok \N{SLIGHTLY SMILING FACE}"]
    assert "1 rows hold characters" in found.notes[0]


def test_unlabelled_and_documents(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("text,other\nhello,1\n")
    (tmp_path / "docs.csv").write_text("title,text\nT,The manual\nU,\n")
    found = loaded(tmp_path, TWO, data=Sources("train.jsonl", unlabelled="more.csv", documents="docs.csv"))
    assert [(dict(e.inputs), e.target) for e in found.unlabelled] == [({"text": "hello"}, None)]
    assert [dict(e.inputs) for e in found.documents] == [{"text": "The manual"}]


def test_inputs_of_one_row() -> None:
    columns = Columns(("text",), "label")
    assert inputs_of({"text": 5, "more": 1}, columns) == {"text": "5"}
    assert inputs_of({"messages": [{"role": "user", "content": "q"}]}, Columns(("user",), "assistant")) == {"user": "q"}
    with pytest.raises(UnknownName, match=r"column 'text'.*Did you mean 'test'"):
        inputs_of({"test": "a"}, columns)
