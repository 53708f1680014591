"""A Parquet file from the lines that `rows.pairs` wrote, in memory that does not grow with it.

A Parquet file has one type for a whole column, and JSON rows may change theirs at any row. So the types are looked for
over all rows first, and a column that no one type fits becomes text in all its rows. Rows that came from a Parquet file
are taken from it again, column by column, so that they stay exactly what they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..data.read import parquet_batches
from ..errors import DataError
from .rows import PARQUET, UNPAIRED, as_json, names_for

ROWS = 4_000
"""Rows held at once, and in a row group of the file."""
KINDS = {"answer": "string", "confidence": "double", "failure": "string", "citations": "string"}
"""Name in Arrow of the type of each column of ours."""


def write_parquet(pairs: Path, out: Path, added: Sequence[str], source: str) -> None:
    """Write `out` from the lines of `pairs`. `source` is where the rows came from. Raises DataError when that is a
    Parquet file and has changed since."""
    if source.lower().endswith(PARQUET):
        _beside(pairs, out, added, Path(source))
        return
    kinds = _kinds(pairs)
    while misfit := _write(pairs, out, added, kinds):
        kinds[misfit] = "text"


def _beside(pairs: Path, out: Path, added: Sequence[str], source: Path) -> None:
    """The columns of a Parquet file with ours beside them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = pq.read_schema(source)
    fields = [pa.field(name, KINDS[key]) for name, key in zip(names_for(known.names, added), added, strict=True)]
    schema = pa.schema([*known, *fields])
    changed = DataError(f"{str(source)!r} was changed while its rows were answered. Begin anew with --restart.")
    lines = _lines(pairs)
    with pq.ParquetWriter(out, schema) as writer:
        for batch in parquet_batches(source, ROWS):
            answers = [values for _, values in islice(lines, batch.num_rows)]
            if len(answers) < batch.num_rows:
                raise changed
            ours = [
                pa.array(column, field.type) for column, field in zip(zip(*answers, strict=True), fields, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays([*batch.columns, *ours], schema=schema))
    if next(lines, None):
        raise changed


def _kinds(pairs: Path) -> dict[str, Any]:
    """Column -> the Arrow type that fits all its values, or `text` where none does. In order of first appearance."""
    import pyarrow as pa

    found: dict[str, Any] = {}
    for rows in _blocks(pairs):
        for name in dict.fromkeys(name for row, _ in rows for name in row):
            kind = _kind([row.get(name) for row, _ in rows])
            found[name] = _joint(found.get(name, pa.null()), kind)
    return found


def _kind(values: list[Any]) -> Any:
    import pyarrow as pa

    try:
        kind = pa.array(values).type
    except _unfit():
        return "text"
    return "text" if "struct<>" in str(kind) else kind  # an object without keys, which Parquet has no type for


def _joint(a: Any, b: Any) -> Any:
    import pyarrow as pa

    if "text" in (a, b):
        return "text"
    try:
        both = [pa.schema([("both", kind)]) for kind in (a, b)]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except _unfit():
        return "text"


def _write(pairs: Path, out: Path, added: Sequence[str], kinds: dict[str, Any]) -> str | None:
    """Write all rows; returns the first column with a value that its type can't hold (a large whole number among
    fractions), after which nothing of the file is of use."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ours = names_for(kinds, added)
    types = {name: pa.string() if kind == "text" else kind for name, kind in kinds.items()}
    types |= {name: pa.type_for_alias(KINDS[key]) for name, key in zip(ours, added, strict=True)}
    make: dict[str, Callable[[Any], Any]] = {name: _text for name, kind in types.items() if kind == pa.string()}
    with pq.ParquetWriter(out, pa.schema(list(types.items()))) as writer:
        for rows in _blocks(pairs):
            whole = [{**row, **dict(zip(ours, values, strict=True))} for row, values in rows]
            columns = []
            for name, kind in types.items():
                same = make.get(name, lambda value: value)
                try:
                    columns.append(pa.array([same(row.get(name)) for row in whole], kind))
                except _unfit():
                    return name
            writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
    return None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else as_json(value)
    return UNPAIRED.sub("\N{REPLACEMENT CHARACTER}", text)


def _unfit() -> tuple[type[Exception], ...]:
    """What pyarrow raises for values that are not of one type."""
    import pyarrow as pa

    return (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError)


def _lines(pairs: Path) -> Iterator[Any]:
    with pairs.open(encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def _blocks(pairs: Path) -> Iterator[list[Any]]:
    lines = _lines(pairs)
    while block := list(islice(lines, ROWS)):
        yield block
