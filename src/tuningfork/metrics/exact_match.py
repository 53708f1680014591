"""The share of items whose answer is one of the acceptable texts, white space around it aside.

Two JSON texts are the same when they hold the same data: key order and spacing do not count.
"""

from __future__ import annotations

from ..candidate import Prediction
from ..task import Example, Kind
from .field_f1 import acceptable, leaves


class ExactMatch:
    """1 for an acceptable text (JSON compared as data), else 0."""

    name = "exact_match"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds: frozenset[Kind] = frozenset({"classification", "generation"})

    def item(self, example: Example, prediction: Prediction) -> float:
        return float(any(_same(prediction.answer, target) for target in acceptable(example)))


def _same(answer: str, target: str) -> bool:
    if answer.strip() == target.strip():
        return True
    fields = leaves(target)
    return fields is not None and fields == leaves(answer)
