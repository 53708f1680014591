"""A contender in Python, exported as a folder that `tuningfork predict` takes; what it does is told by its rows.

The last word of a row says it: `break` fails the row, `stop` is Ctrl-C once (a file remembers it), anything else is
answered. While a file `slow` lies beside it every row takes two milliseconds.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CODE = """
import pathlib, time, zlib

def answer(row):
    text = row["text"]
    if pathlib.Path(__file__).with_name("slow").exists():
        time.sleep(0.002)
    if text.endswith("break"):
        raise ValueError("this one breaks")
    stopped = pathlib.Path(__file__).with_name(f"stopped-{zlib.crc32(text.encode())}")
    if text.endswith("stop") and not stopped.exists():
        stopped.touch()
        raise KeyboardInterrupt
    return {"answer": text.split(" ")[0].upper(), "confidence": zlib.crc32(text.encode()) / 2**32}
"""


def _exported(folder: Path, name: str = "yours:answer", code: str = CODE) -> Path:
    """The folder of an exported function that reads the column `text`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ours.py").write_text(code, encoding="utf-8")
    candidate = {"type": "function", "path": "ours:answer", "folder": str(folder.resolve()), "labels": []}
    (folder / "candidate.json").write_text(json.dumps({**candidate, "name": name, "reads": ["text"]}))
    return folder


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows in the format that the ending says."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=7)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def _command(*arguments: object) -> list[str]:
    """`tuningfork predict ...` as a process of its own."""
    return [sys.executable, "-m", "tuningfork", "predict", *map(str, arguments)]


@pytest.fixture(scope="session")
def contender() -> SimpleNamespace:
    """The helpers above: `export` a function, `write` rows in any format, the `command` as its own process."""
    return SimpleNamespace(export=_exported, write=_write_rows, command=_command)
