"""Always the commonest answer: the floor that every other method must clear.

Its probabilities are the labels' shares of the train examples. Where several labels may hold it says the set that does
best on train by the task's metric: the commonest set, or the commonest labels, however many of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Constant, Prediction
from ..errors import MethodError
from ..method import Bench, Family, Need
from ..metrics import scores
from ..model import Capability, Failure
from ..task import Kind, set_text
from .yes_no import sets


@dataclass(frozen=True)
class Majority:
    """Always says the commonest label, or set of labels, of the train examples."""

    name: ClassVar[str] = "majority"
    family: ClassVar[Family] = "baseline"
    needs: ClassVar[frozenset[Need]] = frozenset()
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if not bench.train:
            raise MethodError("There are no train examples to count labels in.")
        several = bench.task.kind == "multilabel"
        counts = Counter(label for e in bench.train for label in (sets(e) if several else {e.answer}))
        labels = bench.task.labels or tuple(sorted(counts))
        commonest = sorted(labels, key=lambda label: -counts[label])
        answer = _set(commonest, bench) if several else commonest[0]
        return Constant(answer, labels, tuple(counts[label] / len(bench.train) for label in labels))


def _set(commonest: list[str], bench: Bench) -> str:
    """Of the commonest set and of the 0, 1, 2 ... commonest labels, the one that scores best on train."""
    said = Counter(example.answer for example in bench.train).most_common(1)[0][0]
    tried = dict.fromkeys([said, *(set_text(commonest[:k]) for k in range(len(commonest) + 1))])
    sign = 1 if bench.metric.higher_is_better else -1

    def quality(answer: str) -> float:
        found = scores(bench.metric, bench.train, [Prediction(answer)] * len(bench.train))
        return sign * sum(score for score in found if not isinstance(score, Failure))

    return max(tried, key=quality)
