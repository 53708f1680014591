"""Low-rank updates of the weights (Hu et al. 2021, arXiv 2106.09685): fine-tuning at a small part of its cost.

A model that answers learns to say the wanted answer to the very prompt that `predict` will ask, demonstrations
included. With few labels the loss is over these labels only, so nothing is spent on learning to write. An encoder
learns together with a linear head on its pooled vector. Everything is trained behind the model's own `tune`; this
file says on what, how far, and within which share. Hold decides when to stop; going on from an earlier rung, that has
been decided, and hold is learnt too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Head, Single
from ..errors import MethodError, ModelError
from ..method import Bench, Family, Need, single
from ..model import Adapter, Capability, Recipe, Tuned, TuneItem
from ..predict.prompt import plain_input
from ..predict.shots import prompter
from ..task import Example, Kind, Message, Prompt
from .calibrate import unshown
from .zero_shot import asking

CHOICES = 16
"""Up to so many labels, each item's loss compares all of them; above, the label's words are learned as text."""
SHARE = 0.9
"""Of what is left to the method; the rest is for what a look at hold and loading cost."""


@dataclass(frozen=True)
class Lora:
    """Tunes low-rank updates of the weights on the train examples."""

    rank: int = 8
    learning_rate: float | None = None
    epochs: float | None = None

    name: ClassVar[str] = "lora"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if bench.models[one.model].capabilities & {"score", "generate"}:
            asked = asking(one, bench, one.shots)
            train, hold = (_asked_items(asked, bench, part) for part in _parts(bench))
            tuned = self._tune(one, bench, train, hold, self._recipe(one, bench, 1e-3, 10.0))
            return replace(asked, adapter=tuned.adapter)
        if not one.labels:
            raise MethodError(f"{one.model} is an encoder: it can learn labels and can't learn to write.")
        train, hold = (_encoder_items(one, part) for part in _parts(bench))
        tuned = self._tune(one, bench, train, hold, self._recipe(one, bench, 1e-3, 12.0))
        if tuned.head is None:
            raise MethodError(f"{one.model} tuned its weights but gave no head for the labels.")
        read = replace(one, prompt=None, shots=(), calibration=None, answer_by="head")
        return replace(read, adapter=tuned.adapter, head=Head(tuned.head, pooling=None, normalise=True))

    def _recipe(self, one: Single, bench: Bench, learning_rate: float, epochs: float) -> Recipe:
        share, further = bench.share, 0.5 if _before(one, bench) else 1.0  # going on needs half the way and the pace
        return Recipe(
            rank=self.rank,
            alpha=2.0 * self.rank,
            learning_rate=(self.learning_rate or learning_rate) * further,
            epochs=(self.epochs or epochs) * further,
            max_tokens=int(share.trained_tokens * SHARE),
            max_seconds=share.seconds * SHARE,
            seed=bench.seed,
        )

    def _tune(self, one: Single, bench: Bench, items: list[TuneItem], hold: list[TuneItem], recipe: Recipe) -> Tuned:
        if not items:
            raise MethodError("There are no train examples to tune on.")
        if not recipe.max_tokens or (recipe.max_seconds or 0) <= 0:
            raise MethodError("No training is left in this method's share. A larger budget gives it some.")
        try:
            return bench.models[one.model].tune(recipe, items, hold, _before(one, bench))
        except ModelError as error:
            raise MethodError(f"{one.model} could not be tuned: {error}") from error


def _parts(bench: Bench) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """What to learn from and what to choose on."""
    if isinstance(bench.mine, Single):
        return (*bench.train, *bench.hold), ()
    return bench.train, bench.hold


def _before(one: Single, bench: Bench) -> Adapter | None:
    """The weights to go on from: this method's own of an earlier rung, else those that it was started with."""
    mine = bench.mine.adapter if isinstance(bench.mine, Single) else None
    return mine or one.adapter


def _asked_items(asked: Single, bench: Bench, examples: tuple[Example, ...]) -> list[TuneItem]:
    """Prompts as `predict` renders them, no example shown to itself, and what should be said."""
    words = dict(zip(asked.labels, asked.words, strict=True))
    choices = asked.words if len(asked.words) <= CHOICES and asked.answer_by == "score" else ()
    rest = unshown(asked, examples)
    rendered = prompter(asked, bench.models, others_only=True)([example.inputs for example in rest]) if rest else []
    return [
        TuneItem(item.prompt, words.get(example.answer, example.answer), choices)
        for example, item in zip(rest, rendered, strict=True)
        if isinstance(item.prompt, Prompt)
    ]


def _encoder_items(one: Single, examples: Sequence[Example]) -> list[TuneItem]:
    return [
        TuneItem(Prompt((Message("user", plain_input(example.inputs)),)), example.answer, one.labels)
        for example in examples
    ]
