"""People's grades of answers, as they stand in a run's `grades.jsonl`, a line each:

    {"item": "test-row-00012", "answer": "Your card was charged twice; I have sent one back.", "grade": 4}

A grade is of an item and the very answer, so that it counts for every candidate that said the same. With them a judge's
values are corrected (`stats/ppi.py`). `tuningfork review RUN --grade` writes the file; so may any other program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import DataError
from ..store.lines import append_line

FILE = "grades.jsonl"
Grades = Mapping[tuple[str, str], float]
"""(item, answer) -> the mean of people's grades of it."""


def read_grades(folder: Path, low: float, high: float) -> Grades:
    """The grades of a run; none where there is no file. Raises DataError for a line that is none from low to high."""
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[tuple[str, str], list[float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            item, answer, grade = _read(line, f"{path}, line {number}", low, high)
            found.setdefault((item, answer), []).append(grade)
    return {key: sum(grades) / len(grades) for key, grades in found.items()}


def add_grade(folder: Path, item: str, answer: str, grade: float) -> None:
    """Append one grade; it is on disk when this returns."""
    append_line(folder / FILE, {"item": item, "answer": answer, "grade": grade})


def _read(line: str, where: str, low: float, high: float) -> tuple[str, str, float]:
    try:
        match json.loads(line):
            case {"item": str(item), "answer": str(answer), "grade": int() | float() as grade} if low <= grade <= high:
                return item, answer, float(grade)
    except ValueError:
        pass
    raise DataError(
        f'{where} is no grade: {line[:80]!r}. Write {{"item": "an item\'s id", "answer": "the answer that was graded",'
        f' "grade": a number from {low:g} to {high:g}}}.'
    )
