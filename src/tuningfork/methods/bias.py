"""The biases alone (BitFit, Ben Zaken et al. 2022, arXiv 2106.10199): a thousandth of the weights. Many newer causal
models have no biases, and the method says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate
from ..method import Bench, Family, Need
from ..model import Capability, Recipe
from ..task import Kind
from .defaults import Pace
from .tuning import tuned


@dataclass(frozen=True)
class Bias:
    """Tunes the bias weights alone (BitFit)."""

    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "bias"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return tuned(start, bench, self.name, Recipe("bias"), Pace(self.learning_rate, self.epochs, self.search))
