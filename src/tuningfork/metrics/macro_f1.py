"""The mean of the F1 scores of the labels, each label counting the same however rare it is.

It is no mean of items, so races run on right or wrong, and the total is taken at the end: over the labels that stand
among the targets, as scikit-learn's `f1_score(average="macro")` computes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..candidate import Prediction
from ..task import Example


class MacroF1:
    """Item: 1 for the right label, else 0. Total: macro-averaged F1 over the labels present."""

    name = "macro_f1"
    range = (0.0, 1.0)
    higher_is_better = True

    def item(self, example: Example, prediction: Prediction) -> float:
        return float(prediction.answer == example.answer)

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        """Macro F1 of the items together."""
        targets = [example.answer for example in examples]
        answers = [prediction.answer for prediction in predictions]
        wanted, said = Counter(targets), Counter(answers)
        right = Counter(target for target, answer in zip(targets, answers, strict=True) if target == answer)
        # counted here and not by scikit-learn: a bootstrap asks a thousand times, and this is 20 times as quick
        return sum(2 * right[label] / (wanted[label] + said[label]) for label in wanted) / len(wanted)
