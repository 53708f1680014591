"""Rows in, the same rows with three columns more out, in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tuningfork.cli.rows import open_rows
from tuningfork.errors import DataError

ADDED = ("answer", "confidence", "failure")
ROWS = [{"id": 1, "text": 'a "b", c\nd'}, {"id": 2, "text": "ü"}]
VALUES = [("x", 0.5, None), ("", None, "it broke")]


def write(path: Path, rows: list[dict[str, Any]] = ROWS, like: str = "-") -> Path:
    with open_rows(str(path), ADDED, like) as put:
        for row, values in zip(rows, VALUES, strict=True):
            put(row, values)
    return path


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables(tmp_path: Path, ending: str, delimiter: str) -> None:
    with write(tmp_path / f"out.{ending}").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, delimiter=delimiter))
    assert found[0] == {"id": "1", "text": ROWS[0]["text"], "answer": "x", "confidence": "0.5", "failure": ""}
    assert found[1] == {"id": "2", "text": "ü", "answer": "", "confidence": "", "failure": "it broke"}


def test_jsonl(tmp_path: Path) -> None:
    found = [json.loads(line) for line in write(tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert found == [{**row, **dict(zip(ADDED, values, strict=True))} for row, values in zip(ROWS, VALUES, strict=True)]


def test_parquet_keeps_the_schema_it_came_with(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.int8()), ("text", pa.string())])
    pq.write_table(pa.Table.from_pylist(ROWS, schema=schema), tmp_path / "in.parquet")
    found = pq.read_table(write(tmp_path / "out.parquet", like=str(tmp_path / "in.parquet")))
    assert found.schema.field("id").type == pa.int8() and found.column_names == ["id", "text", *ADDED]
    assert found.to_pylist()[0]["answer"] == "x" and found.to_pylist()[1]["confidence"] is None


def test_parquet_of_other_rows(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert pq.read_table(write(tmp_path / "out.parquet")).to_pylist()[0] == {
        **ROWS[0],
        **dict(zip(ADDED, VALUES[0], strict=True)),
    }


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_column_of_the_user_is_never_written_over(tmp_path: Path, ending: str) -> None:
    from tuningfork.data.read import read_rows

    rows = [{"text": "a", "answer": "mine"}, {"text": "b", "answer": "mine too"}]
    found = read_rows(str(write(tmp_path / f"out.{ending}", rows)))
    assert [row["answer"] for row in found] == ["mine", "mine too"]
    assert found[0]["predicted_answer"] == "x"


def test_what_breaks_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), open_rows(str(out), ADDED) as put:
        put(ROWS[0], VALUES[0])
        raise RuntimeError
    assert out.read_text(encoding="utf-8") == "old" and "x" in (tmp_path / "out.csv.part").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "says"), [("out.xlsx", "'.xlsx'"), ("nowhere/out.csv", "nowhere")])
def test_where_it_cannot_write(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says), open_rows(str(tmp_path / name), ADDED):
        pass
