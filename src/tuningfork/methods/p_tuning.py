"""P-tuning (Liu et al. 2021, arXiv 2103.10385): virtual tokens whose vectors come out of a small network, which ties
them together while they learn. The network is not needed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate
from ..method import Bench, Family, Need
from ..model import Capability, Recipe
from ..task import Kind
from .defaults import Pace
from .tuning import softly_tuned


@dataclass(frozen=True)
class PTuning:
    """Tunes virtual tokens through a small network (p-tuning)."""

    tokens: int = 32
    from_prompt: bool = True
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "p_tuning"
    family: ClassVar[Family] = "soft"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer", "tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        recipe = Recipe("p_tuning", tokens=self.tokens)
        return softly_tuned(start, bench, recipe, self.from_prompt, Pace(self.learning_rate, self.epochs, self.search))
