"""How many fields of a JSON answer are right: F1 of `path=value` leaves, best over the acceptable targets.

Both texts are flattened to leaves such as `items[0].quantity = 2`, items of a list by position; a leaf counts when
path and value are equal (2 equals 2.0; a truth value is no number; text is compared as it stands). An answer that is
no JSON scores 0: that is the answer's fault, not a failure of the machine.
"""

from __future__ import annotations

import json
from typing import Any

from ..candidate import Prediction
from ..errors import DataError
from ..task import Example, Kind


class FieldF1:
    """F1 of the fields of a JSON answer, 0 to 1; an answer that is no JSON has 0."""

    name = "field_f1"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds: frozenset[Kind] = frozenset({"generation"})

    def item(self, example: Example, prediction: Prediction) -> float:
        answer = leaves(prediction.answer)
        best = 0.0
        for target in acceptable(example):
            wanted = leaves(target)
            if wanted is None:
                raise DataError(
                    f"field_f1 compares JSON, and the target of example {example.id!r} is {target!r:.80}. "
                    "Mend the target, or use token_f1 or exact_match."
                )
            if answer is not None:
                shared = len(answer.items() & wanted.items())
                best = max(best, 2 * shared / (len(answer) + len(wanted)))
        return best


def acceptable(example: Example) -> tuple[str, ...]:
    """The acceptable texts of an example: its target, or each of several."""
    return example.target if isinstance(example.target, tuple) else (example.answer,)


def is_record(text: str) -> bool:
    """Whether a text is a JSON object or list, and so has fields to compare."""
    return text.lstrip()[:1] in ("{", "[") and leaves(text) is not None


Path = tuple[str | int, ...]


def leaves(text: str) -> dict[Path, str] | None:
    """path -> value of every leaf of a JSON text, values as canonical JSON; None when the text is no JSON."""
    try:
        return dict(_flat((), json.loads(text)))
    except (ValueError, RecursionError):
        return None


def _flat(path: Path, value: Any) -> list[tuple[Path, str]]:
    if isinstance(value, dict) and value:
        return [leaf for key in value for leaf in _flat((*path, key), value[key])]
    if isinstance(value, list) and value:
        return [leaf for i, entry in enumerate(value) for leaf in _flat((*path, i), entry)]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return [(path, json.dumps(value))]
