"""Sets of labels as files write them: several in a cell with a sign between them, a list, or a 0/1 column a label.

An empty cell is the empty set, no label applies, because a CSV file has no other way to say so; a cell that is not
there (null) says nothing, and its row is left out.
"""

from __future__ import annotations

import ast
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DataError

SEPARATORS = (";", "|", ",")
YES = frozenset({"1", "1.0", "true", "yes", "y", "x"})
NO = frozenset({"", "0", "0.0", "false", "no", "n"})
MOST_WORDS = 4
"""A part that is longer is no label."""


def labels_in(cell: Any, separator: str) -> frozenset[str] | None:
    """The labels in a cell; None where there is no cell."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    found = cell if isinstance(cell, list | tuple | set) else _list(cell)
    parts = found if found is not None else _name(cell).split(separator)
    return frozenset(filter(None, map(_name, parts)))


def flags_in(row: Mapping[str, Any], flags: Sequence[str]) -> frozenset[str]:
    """The columns among `flags` that say yes. Raises DataError for a cell that is neither 0 nor 1."""
    found = []
    for name in flags:
        said = "" if row.get(name) is None else _name(row[name]).lower()
        if said not in YES | NO:
            raise DataError(f"the column {name!r} holds {row[name]!r:.40}, which is neither 0 nor 1.")
        found += [name] if said in YES else []
    return frozenset(found)


def is_flag(cells: Sequence[Any]) -> bool:
    """Whether a column holds nothing but 0 and 1, both of them."""
    said = {_name(cell).lower() for cell in cells if cell is not None}
    return said <= YES | NO - {""} and bool(said & YES) and bool(said & NO)


def separator_of(cells: Sequence[Any]) -> str:
    """The sign between labels in a column: the first of `;`, `|` and `,` that stands in a cell."""
    texts = [cell for cell in cells if isinstance(cell, str) and _list(cell) is None]
    return next((sign for sign in SEPARATORS if any(sign in text for text in texts)), SEPARATORS[0])


def looks_like_sets(cells: Sequence[Any]) -> str | None:
    """The separator of a column that seems to hold sets of labels, else None.

    Sets are told by their parts: short, nearly all seen more than once, and most of them in more than one combination.
    """
    filled = [cell for cell in cells if cell not in (None, "")]
    separator = separator_of(filled)
    sets = [found for cell in filled if (found := labels_in(cell, separator)) is not None]
    counts = Counter(label for found in sets for label in found)
    if not counts or sum(len(found) > 1 for found in sets) < max(2, 0.05 * len(sets)):
        return None
    kinds = Counter(label for found in set(sets) for label in found)
    short = all(len(label.split()) <= MOST_WORDS and len(label) <= 40 for label in counts)
    repeated = sum(count for count in counts.values() if count > 1) >= 0.95 * counts.total()
    recombined = sum(count > 1 for count in kinds.values()) >= max(2, 0.5 * len(kinds))
    return separator if short and repeated and recombined and not all(map(_number, counts)) else None


def _list(cell: Any) -> list[Any] | None:
    """A list that a text spells, in JSON or as Python prints it."""
    text = cell.strip() if isinstance(cell, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and not any(isinstance(entry, list | dict) for entry in found):
            return found
    return None


def _name(value: Any) -> str:
    return (str(value).lower() if isinstance(value, bool) else str(value)).strip()


def _number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("+-").isdigit()
