"""Rows in, the same rows with three columns more out, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.cli import parquet
from tuningfork.cli.parquet import write_parquet
from tuningfork.cli.rows import Line, Table, jsonl, names_for, pairs
from tuningfork.data.read import read_rows

ADDED = ("answer", "confidence", "failure")
ROWS = [{"id": 1, "text": 'a "b", c\nd'}, {"id": 2, "text": "ü"}]
VALUES = [("x", 0.5, None), ("", None, "it broke")]


def text(line: Line, rows: Sequence[dict[str, Any]] = ROWS) -> str:
    return "".join(line(row, VALUES[n % 2]) for n, row in enumerate(rows))


def joined(folder: Path, rows: Sequence[dict[str, Any]], source: str = "-") -> Any:
    import pyarrow.parquet as pq

    (folder / "part").write_text(text(pairs, rows), encoding="utf-8")
    write_parquet(folder / "part", folder / "out.parquet", ADDED, source)
    return pq.read_table(folder / "out.parquet")


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_tables(delimiter: str) -> None:
    found = list(csv.DictReader(io.StringIO(text(Table(delimiter, ADDED)), newline=""), delimiter=delimiter))
    assert found[0] == {"id": "1", "text": ROWS[0]["text"], "answer": "x", "confidence": "0.5", "failure": ""}
    assert found[1] == {"id": "2", "text": "ü", "answer": "", "confidence": "", "failure": "it broke"}


def test_a_table_goes_on_under_its_header() -> None:
    whole, begun = text(Table(",", ADDED)), Table(",", ADDED)
    first = begun(ROWS[0], VALUES[0])
    assert first + Table(",", ADDED, begun.header)(ROWS[1], VALUES[1]) == whole


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_cell_comes_back_as_it_was(cells: list[str]) -> None:
    row = {f"c{number}": cell for number, cell in enumerate(cells)}
    table = text(Table(",", ADDED), [row])
    assert table.encode()  # can be written, whatever it holds
    (found,) = csv.DictReader(io.StringIO(table, newline=""), strict=True)
    if all(cell.isprintable() or cell in "\r\n" for cell in cells):
        assert {name: found[name] for name in row} == row
    assert json.loads(text(jsonl(ADDED), [row]).encode()) == {**row, **dict(zip(ADDED, VALUES[0], strict=True))}


def test_a_lone_carriage_return_does_not_end_a_row() -> None:
    table = text(Table(",", ADDED), [{"text": "a\rb"}])
    assert next(csv.DictReader(io.StringIO(table, newline=""), strict=True))["text"] == "a\rb"


def test_unpaired_surrogates(tmp_path: Path) -> None:
    row = {"text": "a\ud800b"}
    assert json.loads(text(jsonl(ADDED), [row]).encode())["text"] == "a\ud800b"
    assert "a\ufffdb" in text(Table(",", ADDED), [row])
    assert joined(tmp_path, [row]).to_pylist()[0]["text"] == "a\ufffdb"


def test_a_column_that_comes_later() -> None:
    table, line = Table(",", ADDED), jsonl(ADDED)
    rows = [{"text": "a"}, {"text": "b", "more": 1}]
    assert text(table, rows).splitlines()[0] == "text,answer,confidence,failure" and table.left_out == ["more"]
    assert json.loads(text(line, rows).splitlines()[1])["more"] == 1


def test_a_column_of_the_user_is_never_written_over(tmp_path: Path) -> None:
    rows = [{"text": "a", "answer": "mine", "predicted_answer": "old"}, {"text": "b", "answer": "too"}]
    assert names_for(rows[0], ADDED) == ["predicted_predicted_answer", "confidence", "failure"]
    for found in (
        list(csv.DictReader(io.StringIO(text(Table(",", ADDED), rows)))),
        [json.loads(line) for line in text(jsonl(ADDED), rows).splitlines()],
        joined(tmp_path, rows).to_pylist(),
    ):
        assert [row["answer"] for row in found] == ["mine", "too"]
        assert found[0]["predicted_answer"] == "old" and found[0]["predicted_predicted_answer"] == "x"


def test_parquet_from_parquet_keeps_every_type(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"id": pa.int8(), "when": pa.timestamp("ns"), "raw": pa.binary(), "map": pa.map_(pa.string(), pa.int16())}
    schema = pa.schema([*kinds.items(), ("kind", pa.dictionary(pa.int32(), pa.string()))])
    given_ = [{"id": n, "when": n, "raw": b"\xff", "map": [("a", n)], "kind": "ab"[n % 2]} for n in range(5)]
    pq.write_table(pa.Table.from_pylist(given_, schema=schema), tmp_path / "in.parquet", row_group_size=2)
    found = joined(tmp_path, [{}] * 5, str(tmp_path / "in.parquet"))
    assert found.column_names == [*schema.names, *ADDED]
    assert found.select(schema.names).equals(pq.read_table(tmp_path / "in.parquet"))
    assert found["answer"].to_pylist() == ["x", "", "x", "", "x"] and found["confidence"][1].as_py() is None


def test_a_parquet_file_that_changed_meanwhile(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tuningfork.errors import DataError

    pq.write_table(pa.table({"text": ["a"] * 5}), tmp_path / "in.parquet")
    for count in (4, 6):
        with pytest.raises(DataError, match="was changed while"):
            joined(tmp_path, [{}] * count, str(tmp_path / "in.parquet"))


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, 2, 3], "int64", [1, 2, 3]),
        ([None, None, "x"], "string", [None, None, "x"]),
        ([1, 2, 2.5], "double", [1.0, 2.0, 2.5]),
        ([1, 2, "x"], "string", ["1", "2", "x"]),
        (["1", True, None], "string", ["1", "true", None]),
        ([1.0, {"b": 1}, [2]], "string", ["1.0", '{"b": 1}', "[2]"]),
        ([2**60, 1, 2.5], "string", [str(2**60), "1", "2.5"]),
        ([2**70, 1, 2], "string", [str(2**70), "1", "2"]),
        ([{"a": 1}, {"b": "x"}, None], None, [{"a": 1, "b": None}, {"a": None, "b": "x"}, None]),
        ([{}, {}, {}], "string", ["{}", "{}", "{}"]),
        ([[], [1], None], None, [[], [1], None]),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_type_that_changes_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[Any], kind: str | None, found: list[Any], at_once: int
) -> None:
    """How a column looks depends on all its rows, and not on which of them were held at once."""
    monkeypatch.setattr(parquet, "ROWS", at_once)
    table = joined(tmp_path, [{"v": value} for value in values])
    assert table["v"].to_pylist() == found and (kind is None or str(table["v"].type) == kind)


def test_parquet_of_rows_whose_columns_differ(tmp_path: Path) -> None:
    found = joined(tmp_path, [{"a": 1}, {"b": "x", "answer": "mine"}]).to_pylist()
    assert [row["a"] for row in found] == [1, None] and [row["answer"] for row in found] == [None, "mine"]
    assert [row["predicted_answer"] for row in found] == ["x", ""]


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    joined(tmp_path, ROWS)
    assert read_rows(str(tmp_path / "out.parquet"))[0] == {**ROWS[0], **dict(zip(ADDED, VALUES[0], strict=True))}
