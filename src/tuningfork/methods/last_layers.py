"""The top of the model alone is tuned, and what lies below stays as it is (Lee et al. 2019, arXiv 1911.03090)."""

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
class LastLayers:
    """Tunes the last layers of the model on the train examples."""

    layers: int = 4
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "last_layers"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        recipe = Recipe("last_layers", layers=self.layers)
        return tuned(start, bench, self.name, recipe, Pace(self.learning_rate, self.epochs, self.search))
