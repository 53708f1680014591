"""A linear classifier for each label by itself, where any number of them may hold (one against the rest).

The penalty is one for all labels, chosen by the log-probability of hold's labels, and so is the probability from which
a label is said, chosen on hold by the task's own metric: rare labels are seldom likelier than not, and saying none of
them is rarely what a metric wants. Without hold a label is said from one half on. Then all is fitted once more on train
and hold together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..metrics import Metric, scores
from ..model import Failure, Usage
from ..predict.each import chosen
from ..task import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NEVER_NATS = -20.0
"""The logit of a label that no example shows; its opposite, of one that all show."""
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def strength_of(x: Array, y: Array, hold: Array, hold_y: Array, strengths: Sequence[float]) -> float:
    """The strength (scikit-learn's C) of the best mean log-probability of hold's labels; `y` (n, labels) of 0 and 1."""
    import numpy as np

    if not len(hold):
        return strengths[len(strengths) // 2]

    def loss(strength: float) -> float:
        weight, bias = fitted(x, y, strength)
        logits = hold @ weight.T + bias
        return float(np.logaddexp(0.0, np.where(hold_y > 0.5, -logits, logits)).mean())

    return min(strengths, key=lambda strength: (round(loss(strength), 9), strength))


def fitted(x: Array, y: Array, strength: float) -> tuple[Array, Array]:
    """Weight (labels, d) and bias (labels,)."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((y.shape[1], x.shape[1])), np.full(y.shape[1], NEVER_NATS)
    for label, own in enumerate(y.T):
        if own.min() < own.max():
            found: Any = LogisticRegression(C=strength, max_iter=1000).fit(x, own)
            weight[label], bias[label] = found.coef_[0], found.intercept_[0]
        elif own.any():
            bias[label] = -NEVER_NATS
    return weight, bias


def threshold_of(logits: Array, hold: Sequence[Example], labels: Sequence[str], metric: Metric) -> float:
    """The logit (nats) from which a label is said: the best on hold by the metric, of equal ones the nearest to 0."""
    sign = 1 if metric.higher_is_better else -1

    def quality(threshold: float) -> float:
        said = [chosen(labels, (row - threshold).tolist(), None, Usage()) for row in logits]
        found = [score for score in scores(metric, hold, said) if not isinstance(score, Failure)]
        return round(sign * sum(found), 9)

    tried = [math.log(p / (1 - p)) for p in THRESHOLDS]
    return max(tried, key=lambda threshold: (quality(threshold), -abs(threshold))) if len(hold) else 0.0
