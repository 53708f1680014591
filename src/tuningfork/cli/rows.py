"""A row and its answer as text: CSV, TSV, JSONL, and what a Parquet file is made from at the end.

A Line turns one row with the `added` values into its text, so that whoever writes knows what is whole. In JSONL a row
keeps its own columns; a table has those of its first row. A column that a user's file has already is not written over:
ours then gets `predicted_` before its name.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

Line = Callable[[Mapping[str, Any], Sequence[Any]], str]
"""(row, added values) -> its text, line break included."""
PARQUET = (".parquet", ".pq")
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", *PARQUET)
UNPAIRED = re.compile("[\ud800-\udfff]")
"""Surrogates, which JSON can spell and UTF-8 can't write."""


def names_for(row: Container[str], added: Sequence[str]) -> list[str]:
    """What the added columns are called beside those of a row."""
    return [_free(name, row) for name in added]


def _free(name: str, row: Container[str]) -> str:
    return _free(f"predicted_{name}", row) if name in row else name


def as_json(value: Any) -> str:
    """JSON for people to read; with escapes only where UTF-8 could not write it otherwise."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return json.dumps(value, default=str) if UNPAIRED.search(text) else text


def jsonl(added: Sequence[str]) -> Line:
    """The row as one JSON object."""
    return lambda row, values: as_json({**row, **dict(zip(names_for(row, added), values, strict=True))}) + "\n"


def pairs(row: Mapping[str, Any], values: Sequence[Any]) -> str:
    """Row and values apart, for what is put together later."""
    return as_json([row, list(values)]) + "\n"


class Table:
    """Rows of CSV or TSV under the columns of the first one. `header` is known where rows were written before.

    `left_out` are columns of later rows for which there is no place.
    """

    def __init__(self, delimiter: str, added: Sequence[str], header: Sequence[str] = ()) -> None:
        self.delimiter, self.added, self.header = delimiter, added, list(header)
        self.left_out: list[str] = []

    def __call__(self, row: Mapping[str, Any], values: Sequence[Any]) -> str:
        text = ""
        if not self.header:
            self.header = list(row)
            text = self._line([*self.header, *names_for(row, self.added)])
        self.left_out += [name for name in row if name not in self.header and name not in self.left_out]
        return text + self._line([*(row.get(name) for name in self.header), *values])

    def _line(self, values: Sequence[Any]) -> str:
        text = io.StringIO(newline="")
        # With \r\n as its line end the csv module puts quotes around a cell that holds either of the two.
        csv.writer(text, delimiter=self.delimiter, lineterminator="\r\n").writerow([_cell(value) for value in values])
        return text.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    text = as_json(value) if isinstance(value, (dict, list, tuple)) else value
    return UNPAIRED.sub("\N{REPLACEMENT CHARACTER}", text) if isinstance(text, str) else text
