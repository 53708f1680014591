"""A long prompt moved into the weights (Askell et al. 2021, arXiv 2112.00861; Snell et al. 2022, arXiv 2209.15189).

The best known prompt of this model, demonstrations and all, says how likely each label is; the same model learns to say
so after the instruction alone. What it gains is the prompt: every answer then reads its input and little else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, Recipe
from ..task import Kind
from .calibrate import unshown
from .distil import taught_items, told
from .tuning import asked_items, paced, run
from .zero_shot import asking


@dataclass(frozen=True)
class ContextDistil:
    """Moves the best known prompt of this model into its weights."""

    rank: int = 8
    learning_rate: float = 1e-3
    epochs: float | None = None

    name: ClassVar[str] = "context_distil"
    family: ClassVar[Family] = "hybrid"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer", "tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        teacher = self._teacher(one, bench)
        asked = asking(replace(one, prompt=None), bench)
        seen = unshown(teacher, (*bench.train, *bench.unlabelled))
        taught = [(e, p) for e, p in told(teacher, bench, seen) if not p.failure and p.answer]
        if not taught:
            raise MethodError(f"The prompt to learn from answered none of {len(seen)} inputs within the share.")
        items = taught_items(asked, bench, taught)
        recipe = paced(Recipe(rank=self.rank, alpha=2.0 * self.rank), bench, self.learning_rate, self.epochs)
        made = run(bench.models[one.model], bench, recipe, items, asked_items(asked, bench, bench.hold), one.adapter)
        return replace(asked, adapter=made.adapter)

    def _teacher(self, one: Single, bench: Bench) -> Single:
        """The best known candidate of this model that is nothing but a prompt with demonstrations."""
        for known in bench.known:
            c = known.candidate
            if isinstance(c, Single) and c.model == one.model and c.prompt and c.shots and not (c.adapter or c.head):
                return c
        raise MethodError("No prompt with demonstrations is known for this model yet, so there is none to move.")
