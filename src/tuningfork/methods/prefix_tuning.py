"""Prefix tuning (Li & Liang 2021, arXiv 2101.00190): keys and values of a few virtual tokens in every layer.

They start as what the model computes for the best prompt that is known, so no network is needed to steady them.
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
class PrefixTuning:
    """Tunes keys and values of virtual tokens in every layer."""

    tokens: int = 64
    from_prompt: bool = True
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "prefix_tuning"
    family: ClassVar[Family] = "soft"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer", "tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        recipe = Recipe("prefix_tuning", tokens=self.tokens)
        return softly_tuned(start, bench, recipe, self.from_prompt, Pace(self.learning_rate, self.epochs, self.search))
