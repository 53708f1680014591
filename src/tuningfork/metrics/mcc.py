"""Matthews' correlation coefficient of answers and labels, for any number of labels (Gorodkin 2004).

(right x n - sum of said x wanted) / sqrt((n^2 - sum of said^2) (n^2 - sum of wanted^2)), sums over labels. 0 is what
guessing gives, however uneven the labels are; where only one label is said or wanted, it is 0 too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ..candidate import Prediction
from ..task import Example, Kind


class Mcc:
    """Correlation of answers and labels: 1 all right, 0 as good as guessing."""

    name = "mcc"
    range = (-1.0, 1.0)
    item_range = (0.0, 1.0)
    higher_is_better = True
    kinds: frozenset[Kind] = frozenset({"classification"})
    races_on = "right or wrong"

    def item(self, example: Example, prediction: Prediction) -> float:
        return float(prediction.answer == example.answer)

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        wanted = Counter(example.answer for example in examples)
        said = Counter(prediction.answer for prediction in predictions)
        n = len(examples)
        right = sum(e.answer == p.answer for e, p in zip(examples, predictions, strict=True))
        both = sum(said[label] * count for label, count in wanted.items())
        spread = math.sqrt((n * n - _squares(said)) * (n * n - _squares(wanted)))
        return (right * n - both) / spread if spread else 0.0


def _squares(counts: Counter[str]) -> int:
    return sum(count * count for count in counts.values())
