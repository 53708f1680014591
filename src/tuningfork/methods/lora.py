"""Low-rank updates of the weights (Hu et al. 2021, arXiv 2106.09685): fine-tuning at a small part of its cost.

All linear layers get one, at about ten times the rate of full fine-tuning, as such small updates need. `rslora` keeps
large ranks learning (arXiv 2312.03732); `dora` learns each row's length apart from its direction (arXiv 2402.09353).
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
class Lora:
    """Tunes low-rank updates of the weights on the train examples."""

    rank: int = 8
    rslora: bool = False
    dora: bool = False
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "lora"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        alpha = 2.0 * self.rank ** (0.5 if self.rslora else 1.0)
        recipe = Recipe("lora", rank=self.rank, alpha=alpha, rslora=self.rslora, dora=self.dora)
        return tuned(start, bench, self.name, recipe, Pace(self.learning_rate, self.epochs, self.search))
