"""Prompt tuning (Lester et al. 2021, arXiv 2104.08691): the vectors of a few virtual tokens before every prompt.

They start as the tokens of the best prompt that is known, for from random ones they lose much and need many more steps.
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
class PromptTuning:
    """Tunes the vectors of virtual tokens before the prompt."""

    tokens: int = 32
    from_prompt: bool = True
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "prompt_tuning"
    family: ClassVar[Family] = "soft"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer", "tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        recipe = Recipe("prompt_tuning", tokens=self.tokens)
        return softly_tuned(start, bench, recipe, self.from_prompt, Pace(self.learning_rate, self.epochs, self.search))
