"""Adapter layers (Houlsby et al. 2019, arXiv 1902.00751): a small network of its own after each attention and each
feed-forward block.
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
class Bottleneck:
    """Tunes small layers added after each block (adapter layers)."""

    size: int = 32
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "bottleneck"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        recipe = Recipe("bottleneck", rank=self.size)
        return tuned(start, bench, self.name, recipe, Pace(self.learning_rate, self.epochs, self.search))
