"""How near an answer's set of labels is to the right one, item by item: for tasks where several labels may hold.

Two empty sets are the same set and score as right. Means over items, as scikit-learn's `average="samples"` takes them
with `zero_division=1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Prediction
from ..errors import TaskError
from ..task import Example, Kind, set_of

Labels = frozenset[str]
SETS: frozenset[Kind] = frozenset({"multilabel"})


def sets(example: Example, prediction: Prediction) -> tuple[Labels, Labels]:
    """The wanted labels and those that were said; one each where the task has one label an item."""
    if isinstance(example.target, frozenset):
        return example.target, set_of(prediction.answer)
    return frozenset({example.answer}), frozenset({prediction.answer})


def f1(wanted: Labels, said: Labels) -> float:
    """F1 of two sets."""
    return 2 * len(wanted & said) / (len(wanted) + len(said)) if wanted or said else 1.0


class SamplesF1:
    """F1 of the labels said and the labels wanted, item by item."""

    name = "samples_f1"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds = SETS

    def item(self, example: Example, prediction: Prediction) -> float:
        return f1(*sets(example, prediction))


class Jaccard:
    """Labels that are in both sets, as a share of those in either."""

    name = "jaccard"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds = SETS

    def item(self, example: Example, prediction: Prediction) -> float:
        wanted, said = sets(example, prediction)
        return len(wanted & said) / len(wanted | said) if wanted or said else 1.0


class ExactSet:
    """1 where all labels are right and none lacks, else 0."""

    name = "exact_set"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds = SETS

    def item(self, example: Example, prediction: Prediction) -> float:
        wanted, said = sets(example, prediction)
        return float(wanted == said)


@dataclass(frozen=True)
class HammingLoss:
    """The share of the task's labels that an item has wrong: said and not wanted, or the other way."""

    labels: tuple[str, ...] = ()

    name: ClassVar[str] = "hamming_loss"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False
    kinds: ClassVar[frozenset[Kind]] = SETS

    def item(self, example: Example, prediction: Prediction) -> float:
        if not self.labels:
            raise TaskError("hamming_loss is a share of all labels and was given none. Name them under `labels:`.")
        wanted, said = sets(example, prediction)
        return len(wanted ^ said) / len(self.labels)
