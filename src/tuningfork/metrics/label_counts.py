"""Precision, recall and F1 from the counts of each label: macro (each label counts the same, however rare) or micro
(each decision does).

An answer is a set of labels, of one for a classification. They are no means of items, so races run on the F1 of an
item's two sets (for a classification: right or wrong), and the total is taken at the end. Macro averages are over the
labels that stand among the targets, as scikit-learn computes them with `labels` set to these; what nothing speaks for
(the precision of a label that is never said) counts as 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..candidate import Prediction
from ..task import Example, Kind
from .label_sets import f1, sets

LABELS: frozenset[Kind] = frozenset({"classification", "multilabel"})


@dataclass(frozen=True)
class Counts:
    """Of one label, or of all together: how often it was right, said, and wanted."""

    right: int
    said: int
    wanted: int

    @property
    def precision(self) -> float:
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.said + self.wanted) if self.said + self.wanted else 0.0


class _Counted:
    """What these metrics have in common but for their totals."""

    range = (0.0, 1.0)
    higher_is_better = True
    kinds = LABELS
    races_on = "right or wrong; of sets their F1"

    def item(self, example: Example, prediction: Prediction) -> float:
        return f1(*sets(example, prediction))


class MacroF1(_Counted):
    """Mean of the labels' F1, each label counting the same."""

    name = "macro_f1"

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        return _macro(examples, predictions, lambda counts: counts.f1)


class MacroPrecision(_Counted):
    """Mean of the labels' precision: how often a label that is said is right."""

    name = "macro_precision"

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        return _macro(examples, predictions, lambda counts: counts.precision)


class MacroRecall(_Counted):
    """Mean of the labels' recall: how much of a label is found."""

    name = "macro_recall"

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        return _macro(examples, predictions, lambda counts: counts.recall)


class BalancedAccuracy(MacroRecall):
    """Accuracy as if every label were equally common: the mean of the labels' recall."""

    name = "balanced_accuracy"
    kinds: frozenset[Kind] = frozenset({"classification"})


class MicroF1(_Counted):
    """F1 over all labels' decisions together; with one label an item that is accuracy."""

    name = "micro_f1"

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        return _micro(examples, predictions).f1


class MicroPrecision(_Counted):
    """Of all labels that were said, the share that is right."""

    name = "micro_precision"

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        return _micro(examples, predictions).precision


class MicroRecall(_Counted):
    """Of all labels that were wanted, the share that was said."""

    name = "micro_recall"

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        return _micro(examples, predictions).recall


def _counts(examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, Counts]:
    """By label. Counted here and not by scikit-learn: a bootstrap asks a thousand times, and this is 20 times as
    quick."""
    right, said, wanted = Counter[str](), Counter[str](), Counter[str]()
    for example, prediction in zip(examples, predictions, strict=True):
        target, answer = sets(example, prediction)
        wanted.update(target)
        said.update(answer)
        right.update(target & answer)
    return {label: Counts(right[label], said[label], wanted[label]) for label in {**wanted, **said}}


def _macro(examples: Sequence[Example], predictions: Sequence[Prediction], of: Callable[[Counts], float]) -> float:
    """The mean over the labels among the targets. Where no item has a label: 1 if none was said, else 0."""
    counts = _counts(examples, predictions)
    wanted = [of(found) for found in counts.values() if found.wanted]
    return sum(wanted) / len(wanted) if wanted else float(not counts)


def _micro(examples: Sequence[Example], predictions: Sequence[Prediction]) -> Counts:
    found = _counts(examples, predictions).values()
    if not found:
        return Counts(1, 1, 1)  # nothing wanted, nothing said: all right
    return Counts(sum(c.right for c in found), sum(c.said for c in found), sum(c.wanted for c in found))
