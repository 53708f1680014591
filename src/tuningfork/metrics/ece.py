"""Expected calibration error: how far confidence is from being right, on average (Naeini et al. 2015).

Items are sorted by confidence into 15 bins of equal mass (fewer under 150 items, so that each has ten), and the gaps
|share right - mean confidence| are averaged. Noise alone makes gaps, so the bias is taken off (Kumar et al. 2019,
arXiv 1909.10155, section 5): by how much a bin's gap would grow if its share were drawn once more from a normal of its
own standard error. That nearly halves what a perfectly calibrated candidate shows, and leaves large gaps as they are.
It says nothing about quality: a candidate that is always 50% sure and half right has 0. So races run on the Brier score
of the confidence, which sees both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..candidate import Prediction
from ..errors import NoScore
from ..task import Example, Kind

BINS, FEWEST = 15, 10


class Ece:
    """How far confidence is from the share that is right: 15 bins of equal mass, debiased."""

    name = "ece"
    range = (0.0, 1.0)
    higher_is_better = False
    kinds: frozenset[Kind] = frozenset({"classification"})
    races_on = "squared error of the answer's confidence"

    def item(self, example: Example, prediction: Prediction) -> float:
        return (_confidence(prediction) - float(prediction.answer == example.answer)) ** 2

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        import numpy as np

        sure = np.array([_confidence(p) for p in predictions])  # (n,)
        right = np.array([p.answer == e.answer for e, p in zip(examples, predictions, strict=True)], dtype=float)
        order = np.argsort(sure, kind="stable")
        bins = np.array_split(order, max(1, min(BINS, len(order) // FEWEST)))
        gaps = [len(at) * _gap(right[at].mean(), sure[at].mean(), len(at)) for at in bins]
        return max(0.0, sum(gaps) / len(order))


def _gap(right: float, sure: float, n: int) -> float:
    """|d| less its bias: 2 |d| - E|X| for X normal around d, by the mean of the folded normal."""
    gap = abs(right - sure)
    error = math.sqrt(right * (1 - right) / n)
    if not error:
        return float(gap)
    z = gap / error
    folded = error * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + gap * math.erf(z / math.sqrt(2))
    return float(2 * gap - folded)


def _confidence(prediction: Prediction) -> float:
    if prediction.confidence is None:
        raise NoScore("no confidence", "ece is about confidence, and this candidate says none with its answers.")
    return min(1.0, max(0.0, prediction.confidence))
