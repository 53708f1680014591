"""Pairs of sentences, then a head (SetFit: Tunstall et al. 2022, arXiv 2209.11055).

An encoder first learns that texts of one label are alike and others are not, which makes many pairs of few texts; a
linear classifier on the vectors that it then gives is fitted as `head` does. Every text of a batch is paired with every
other, so no text is read once for each of its pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, Recipe, Tuned
from ..task import Kind
from .defaults import Pace, paced
from .head import FitHead
from .tuning import answers, best_run, label_items, onward, parts

PORTION = 0.8
"""Of the share: the head reads every text once more."""


@dataclass(frozen=True)
class Contrastive:
    """Tunes an encoder on pairs of texts, then fits a head (as SetFit does)."""

    rank: int = 0
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None
    batch: int = 32

    name: ClassVar[str] = "contrastive"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"encoder", "tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = replace(single(start, self.name), prompt=None, shots=(), calibration=None, head=None)
        model = bench.models[one.model]
        if answers(model):
            raise MethodError(f"{one.model} is no encoder: pairs of texts tune what gives vectors.")
        recipe = Recipe("lora" if self.rank else "full", rank=self.rank or 8, pairs=True, batch=self.batch)
        pace = Pace(self.learning_rate, self.epochs, self.search)
        recipe, before = onward(paced(recipe, bench, model, pace), one, bench)
        train, hold = parts(bench)
        learn, watch = ([replace(item, weight=1.0) for item in label_items(one, part)] for part in (train, hold))

        def tried(made: Tuned) -> Candidate:  # a head that has not learnt hold, so that hold can choose
            return FitHead()(replace(one, adapter=made.adapter), replace(bench, hold=()))

        made = best_run(model, bench, recipe, pace, learn, watch, before, tried, PORTION)
        return FitHead()(replace(one, adapter=made.adapter), replace(bench, train=train, hold=hold))
