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
from ..model import Capability, Recipe
from ..task import Kind
from .head import FitHead
from .tuning import answers, label_items, paced, parts, run

PORTION = 0.8
"""Of the share: the head reads every text once more."""


@dataclass(frozen=True)
class Contrastive:
    """Tunes an encoder on pairs of texts, then fits a head (as SetFit does)."""

    rank: int = 0
    learning_rate: float | None = None
    epochs: float | None = None
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
        # Few texts in many pairs: each pass over the texts is one over a batch's worth of pairs for each of them.
        recipe = Recipe("lora" if self.rank else "full", rank=self.rank or 8, pairs=True, batch=self.batch)
        rate = self.learning_rate or (1e-3 if self.rank else 5e-5)
        recipe = paced(recipe, bench, rate, self.epochs, few=16.0)
        train, hold = parts(bench)
        learn, watch = ([replace(item, weight=1.0) for item in label_items(one, part)] for part in (train, hold))
        made = run(model, bench, recipe, learn, watch, one.adapter, PORTION)
        return FitHead()(replace(one, adapter=made.adapter), replace(bench, train=train, hold=hold))
