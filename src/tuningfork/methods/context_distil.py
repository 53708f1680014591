"""A long prompt moved into the weights (Askell et al. 2021, arXiv 2112.00861; Snell et al. 2022, arXiv 2209.15189).

The best known prompt of this model, demonstrations and all, says how likely each label is; the same model learns to say
so after the instruction alone. What it gains is the prompt: every answer then reads its input and little else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, Recipe
from ..task import Kind
from .defaults import Pace, paced
from .distil import taught_items, told
from .draws import unshown
from .tuning import adapted, asked_items, best_run, onward, prompted
from .zero_shot import asking


@dataclass(frozen=True)
class ContextDistil:
    """Moves the best known prompt of this model into its weights."""

    most: int = 2000
    rank: int = 8
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "context_distil"
    family: ClassVar[Family] = "hybrid"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer", "tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        teacher = self._teacher(one, bench)
        asked = asking(replace(one, prompt=None), bench)
        shown = unshown(teacher, (*bench.train, *bench.unlabelled))
        seen = Random(f"context_distil {bench.seed}").sample(shown, min(self.most, len(shown)))
        taught = [(e, p) for e, p in told(teacher, bench, seen) if not p.failure and p.answer]
        if not taught:
            raise MethodError(f"The prompt to learn from answered none of {len(seen)} inputs within the share.")
        items = taught_items(asked, bench, taught)
        model, pace = bench.models[one.model], Pace(self.learning_rate, self.epochs, self.search)
        recipe = paced(Recipe(rank=self.rank, alpha=2.0 * self.rank), bench, model, pace)
        recipe, before = onward(recipe, one, bench)
        hold = asked_items(asked, bench, bench.hold)
        finished = partial(adapted, asked)
        return finished(best_run(model, bench, recipe, pace, items, hold, before, finished))

    def _teacher(self, one: Single, bench: Bench) -> Single:
        """The best known candidate of this model that is nothing but a prompt with demonstrations, the same for every
        input: picked ones would show an example its own answer."""
        for known in bench.known:
            c = known.candidate
            if (
                isinstance(c, Single)
                and c.model == one.model
                and prompted(c)
                and isinstance(c.shots, tuple)
                and c.shots
            ):
                return c
        raise MethodError("No prompt with demonstrations is known for this model yet, so there is none to move.")
