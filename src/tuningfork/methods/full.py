"""Full fine-tuning: every weight moves, the embeddings too.

Masters are fp32 where products are bf16, so small steps do not get lost. The candidate holds all weights anew, which
makes it as large as its model.
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
class Full:
    """Tunes all weights on the train examples."""

    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "full"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return tuned(start, bench, self.name, Recipe("full"), Pace(self.learning_rate, self.epochs, self.search))
