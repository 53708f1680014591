"""Always the commonest label: the floor that every other method must clear.

Its probabilities are the labels' shares of the train examples.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Constant
from ..errors import MethodError
from ..method import Bench, Family, Need
from ..model import Capability
from ..task import Kind


@dataclass(frozen=True)
class Majority:
    """Always says the commonest label of the train examples."""

    name: ClassVar[str] = "majority"
    family: ClassVar[Family] = "baseline"
    needs: ClassVar[frozenset[Need]] = frozenset()
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if not bench.train:
            raise MethodError("There are no train examples to count labels in.")
        counts = Counter(example.answer for example in bench.train)
        labels = bench.task.labels or tuple(sorted(counts))
        commonest = max(labels, key=lambda label: counts[label])
        return Constant(commonest, labels, tuple(counts[label] / len(bench.train) for label in labels))
