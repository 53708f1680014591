"""Writing rows as they come: CSV, TSV, JSONL, Parquet, or JSONL on stdout.

The first row decides the columns. A column that a user's file has already is not written over: ours then gets
`predicted_` before its name.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..errors import DataError

Write = Callable[[dict[str, Any], Sequence[Any]], None]
PARQUET_ROWS = 1000


@contextmanager
def open_rows(out: str, added: Sequence[str], like: str = "-") -> Iterator[Write]:
    """A function that writes one row with the `added` values; the file is moved to its name when all went well.

    `like` is the file that the rows come from: the schema of a Parquet file is kept. Raises DataError for an ending
    that is none of .csv, .tsv, .jsonl, .parquet.
    """
    if out == "-":
        yield _jsonl(sys.stdout, added)
        return
    path = Path(out)
    ending = path.suffix.lower()
    if ending not in (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq"):
        raise DataError(f"{out!r} ends in {ending!r}: rows can be written as .csv, .tsv, .jsonl or .parquet.")
    if not path.parent.is_dir():
        raise DataError(f"The folder {str(path.parent)!r} is not there. Make it, or give another file by --out.")
    part = path.with_name(path.name + ".part")
    if ending in (".parquet", ".pq"):
        with _parquet(part, added, like) as write:
            yield write
    else:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield _jsonl(file, added) if ending in (".jsonl", ".ndjson") else _table(file, added, ending)
    os.replace(part, path)


def names_for(row: dict[str, Any], added: Sequence[str]) -> list[str]:
    """What the added columns are called beside those of a row."""
    return [f"predicted_{name}" if name in row else name for name in added]


def _jsonl(file: TextIO, added: Sequence[str]) -> Write:
    def write(row: dict[str, Any], values: Sequence[Any]) -> None:
        line = {**row, **dict(zip(names_for(row, added), values, strict=True))}
        file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        file.flush()

    return write


def _table(file: TextIO, added: Sequence[str], ending: str) -> Write:
    writer = csv.writer(file, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
    header: list[str] = []

    def write(row: dict[str, Any], values: Sequence[Any]) -> None:
        if not header:
            header.extend(row)
            writer.writerow([*header, *names_for(row, added)])
        writer.writerow([_cell(row.get(name)) for name in header] + [_cell(value) for value in values])

    return write


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list, tuple)) else value


@contextmanager
def _parquet(part: Path, added: Sequence[str], like: str) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    answers: list[Sequence[Any]] = []
    known = pq.read_schema(like) if like.lower().endswith((".parquet", ".pq")) else None
    writer: Any = None

    def flush() -> None:
        nonlocal writer
        names = names_for(rows[0] if rows else {}, added)
        if writer is None:
            base = known or pa.Table.from_pylist(rows).schema
            kinds = [pa.float64() if name == "confidence" else pa.string() for name in added]
            writer = pq.ParquetWriter(part, pa.schema([*base, *map(pa.field, names, kinds)]))
        whole = [{**row, **dict(zip(names, values, strict=True))} for row, values in zip(rows, answers, strict=True)]
        writer.write_table(pa.Table.from_pylist(whole, schema=writer.schema))
        rows.clear()
        answers.clear()

    def write(row: dict[str, Any], values: Sequence[Any]) -> None:
        rows.append(row)
        answers.append(values)
        if len(rows) >= PARQUET_ROWS:
            flush()

    try:
        yield write
        flush()
    finally:
        if writer is not None:
            writer.close()
