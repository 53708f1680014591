"""Fits of a calibration to what a model said of some examples: the numbers behind `calibrate`. No model is asked here.

A row is an example and the model's log-probability of every label, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..candidate import Calibration
from ..predict.score import log_softmax
from ..task import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Row = tuple[Example, tuple[float, ...]]
Fit = Callable[[Sequence[Row]], Calibration]

FOLDS = 5
SCALE_PULL, OFFSET_PULL = 0.02, 0.005
"""How strongly a scale is drawn to 1 and an offset to that of `batch`, in nats a squared unit."""


def batch(rows: Sequence[Row]) -> Calibration:
    """The mean nats of each label."""
    return Calibration(tuple(sum(column) / len(rows) for column in zip(*(nats for _, nats in rows), strict=True)))


def contextual(said: Sequence[tuple[float, ...]]) -> Calibration:
    """The log of the mean probability that each label got from inputs without content."""
    means = (sum(map(math.exp, column)) / len(said) for column in zip(*said, strict=True))
    return Calibration(tuple(math.log(max(mean, 1e-30)) for mean in means))


def vector(rows: Sequence[Row], labels: Sequence[str]) -> Calibration:
    """Scale and offset of each label by regularised cross-entropy: it is convex, so any solver finds the one best."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import log_softmax as log_probabilities

    x = np.array([nats for _, nats in rows])  # (n, labels)
    y = np.array([labels.index(example.answer) for example, _ in rows])
    each = np.arange(len(x))
    usual = x.mean(axis=0)

    def loss(both: Array) -> tuple[float, Array]:
        scale, offset = np.split(both, 2)
        nats = log_probabilities(x * scale - offset, axis=1)
        wrong = np.exp(nats)  # (n, labels): the slope of the cross-entropy by the logits
        wrong[each, y] -= 1.0
        pull = SCALE_PULL * ((scale - 1) ** 2).sum() + OFFSET_PULL * ((offset - usual) ** 2).sum()
        by_scale = (wrong * x).mean(axis=0) + 2 * SCALE_PULL * (scale - 1)
        by_offset = 2 * OFFSET_PULL * (offset - usual) - wrong.mean(axis=0)
        return float(pull - nats[each, y].mean()), np.concatenate([by_scale, by_offset])

    found = minimize(loss, np.concatenate([np.ones_like(usual), usual]), jac=True, method="L-BFGS-B").x
    scale, offset = np.split(found, 2)
    return Calibration(tuple(map(float, offset)), tuple(map(float, scale)))


def left_out_nats(fit: Fit, rows: Sequence[Row], labels: Sequence[str]) -> float:
    """Mean log-probability, in nats, of the right label of every row by a calibration fitted on other folds."""
    total = 0.0
    for fold in range(min(FOLDS, len(rows))):
        made = fit([row for i, row in enumerate(rows) if i % FOLDS != fold] or rows)
        scales = made.scale or (1.0,) * len(labels)
        for example, nats in rows[fold::FOLDS]:
            logits = [s * value - off for s, value, off in zip(scales, nats, made.offset_nats, strict=True)]
            total += log_softmax(logits)[labels.index(example.answer)]
    return total / max(1, len(rows))
