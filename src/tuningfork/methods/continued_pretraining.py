"""Going on with pre-training on texts of the domain (Gururangan et al. 2020, arXiv 2004.10964), before any other road.

A model that answers learns to continue the task's unlabelled inputs, as low-rank updates of its weights. It answers
nothing better by that alone: chain it, `continued_pretraining+lora`, and compare with `lora`. An encoder learns that
two looks at one text are alike and others are not (SimCSE: Gao et al. 2021, arXiv 2104.08821), since sentence encoders
have no head that writes; a linear classifier on its vectors follows, as `head` fits it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Adapter, Capability, Recipe, TuneItem
from ..task import Kind
from .head import FitHead
from .tuning import answers, run, text_prompt
from .zero_shot import asking

PORTION = 0.5
"""Of the share: what comes after it in a chain needs some too."""
HELD = 32
"""Texts that say when to stop."""
PAIRED = 32
"""Texts of a batch that are told apart."""


@dataclass(frozen=True)
class ContinuedPretraining:
    """Learns the language of unlabelled inputs first; chain it with another method."""

    rank: int = 8
    learning_rate: float = 5e-4
    epochs: float = 1.0

    name: ClassVar[str] = "continued_pretraining"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        model = bench.models[one.model]
        writes = answers(model)
        if isinstance(bench.mine, Single) and bench.mine.adapter:  # read in an earlier rung: nothing is new there
            return self._read(one, bench, bench.mine.adapter, writes)
        texts = list(bench.unlabelled)
        if len(texts) < 2:
            raise MethodError("There are no unlabelled inputs. Name a file of them under `data: unlabelled:`.")
        Random(f"continued_pretraining {bench.seed}").shuffle(texts)
        held = min(HELD, len(texts) // 10)
        items = [TuneItem(text_prompt(example), None) for example in texts]
        recipe = Recipe("lora", rank=self.rank, alpha=2.0 * self.rank, pairs=not writes)
        recipe = recipe if writes else replace(recipe, batch=PAIRED)
        recipe = replace(recipe, learning_rate=self.learning_rate, epochs=self.epochs)
        made = run(model, bench, recipe, items[held:], items[:held], one.adapter, PORTION)
        return self._read(one, bench, made.adapter, writes)

    def _read(self, one: Single, bench: Bench, adapter: Adapter, writes: bool) -> Candidate:
        """What has read the texts, ready to answer or to be trained on."""
        if writes:
            return replace(asking(one, bench, one.shots), adapter=adapter)
        return FitHead()(replace(one, prompt=None, shots=(), calibration=None, head=None, adapter=adapter), bench)
