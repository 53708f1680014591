"""How good the probabilities of the labels are: log-loss, perplexity, Brier. Both are proper: a candidate can't win by
saying other probabilities than it holds likely (Gneiting and Raftery 2007).

They need the log-probability of every label. A candidate that writes its answer, or is a function, has none, and its
items count as failed, with that reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Prediction
from ..errors import NoScore, TaskError
from ..task import Example, Kind

MOST_NATS = 20.0
"""A right label less likely than exp(-20) counts as that likely, so that one item can't outweigh all others."""
ONE_LABEL: frozenset[Kind] = frozenset({"classification"})


@dataclass(frozen=True)
class LogLoss:
    """Minus the log-probability of the right label, in nats, at most 20."""

    labels: tuple[str, ...] = ()

    name: ClassVar[str] = "log_loss"
    range: ClassVar[tuple[float, float]] = (0.0, MOST_NATS)
    higher_is_better: ClassVar[bool] = False
    kinds: ClassVar[frozenset[Kind]] = ONE_LABEL

    def item(self, example: Example, prediction: Prediction) -> float:
        return _loss(example, prediction, self.labels, self.name)


@dataclass(frozen=True)
class Perplexity:
    """Of the right labels: exp(mean log-loss), the number of equally likely labels that would be as hard to tell."""

    labels: tuple[str, ...] = ()

    name: ClassVar[str] = "perplexity"
    range: ClassVar[tuple[float, float]] = (1.0, math.exp(MOST_NATS))
    item_range: ClassVar[tuple[float, float]] = (0.0, MOST_NATS)
    higher_is_better: ClassVar[bool] = False
    kinds: ClassVar[frozenset[Kind]] = ONE_LABEL
    races_on: ClassVar[str] = "log-loss, in nats"

    def item(self, example: Example, prediction: Prediction) -> float:
        return _loss(example, prediction, self.labels, self.name)

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        nats = [self.item(e, p) for e, p in zip(examples, predictions, strict=True)]
        return math.exp(sum(nats) / len(nats))


@dataclass(frozen=True)
class Brier:
    """Squared error of the probabilities, summed over the labels (Brier 1950): 0 sure and right, 2 sure and wrong."""

    labels: tuple[str, ...] = ()

    name: ClassVar[str] = "brier"
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)
    higher_is_better: ClassVar[bool] = False
    kinds: ClassVar[frozenset[Kind]] = ONE_LABEL

    def item(self, example: Example, prediction: Prediction) -> float:
        nats = nats_of(prediction, self.labels, self.name)
        shares = zip(self.labels, map(math.exp, nats), strict=True)
        return sum((share - (label == example.answer)) ** 2 for label, share in shares)


def _loss(example: Example, prediction: Prediction, labels: tuple[str, ...], name: str) -> float:
    """Minus the log-probability of the right label, in nats."""
    nats = nats_of(prediction, labels, name)
    return min(MOST_NATS, max(0.0, -nats[labels.index(example.answer)]))


def nats_of(prediction: Prediction, labels: tuple[str, ...], name: str) -> tuple[float, ...]:
    """The log-probability of every label. Raises NoScore where the prediction has none, TaskError without labels."""
    if not labels:
        raise TaskError(f"{name} is about the probabilities of the task's labels and was given none.")
    if prediction.nats is None or len(prediction.nats) != len(labels):
        raise NoScore(
            "no probabilities",
            f"{name} needs the probability of every label, and this candidate gives none: it writes its answers, is"
            " a function, or says one label whatever is asked. Use accuracy to compare it with others.",
        )
    return prediction.nats
