"""(IA)3 (Liu et al. 2022, arXiv 2205.05638): a factor for each key, each value and each inner unit of the feed-forward
blocks. A few kilobytes move, and they need large steps.
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
class Ia3:
    """Tunes factors on keys, values and feed-forward units (IA3)."""

    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "ia3"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return tuned(start, bench, self.name, Recipe("ia3"), Pace(self.learning_rate, self.epochs, self.search))
