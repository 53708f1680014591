"""The share of items whose answer is the label."""

from __future__ import annotations

from ..candidate import Prediction
from ..task import Example, Kind


class Accuracy:
    """1 for the right label (or one of several that are right), else 0."""

    name = "accuracy"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds: frozenset[Kind] = frozenset({"classification"})

    def item(self, example: Example, prediction: Prediction) -> float:
        right = (example.target,) if isinstance(example.target, str) else example.target or ()
        return float(prediction.answer in right)
