"""A stronger candidate teaches the model (Hinton et al. 2015, arXiv 1503.02531).

The best candidate that is known labels the unlabelled inputs; what it is sure of is learnt beside the labelled
examples, with the teacher's probabilities for each label where it gives them. Without unlabelled inputs there is
nothing that the labels themselves would not say better, so the method does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import exp
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Constant, Prediction, Single
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Family, Known, Need, single
from ..model import Capability, Recipe, Tuned, TuneItem
from ..predict import predict
from ..task import Example, Kind
from .defaults import Pace, paced
from .tuning import adapted, answers, asked_items, asked_pairs, best_run, headed, label_items, likely, onward, parts
from .zero_shot import asking

CHUNK = 32
TEACHING = 0.4
"""Of the share that is left: what a teacher may spend."""


@dataclass(frozen=True)
class Distil:
    """Learns from the answers of the best known candidate to unlabelled inputs."""

    most: int = 2000
    sure: float = 0.6
    rank: int = 8
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "distil"
    family: ClassVar[Family] = "hybrid"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if not bench.unlabelled:
            raise MethodError("There are no unlabelled inputs to learn from. Name a file under `data: unlabelled:`.")
        teacher = self._teacher(bench)
        inputs = Random(f"distil {bench.seed}").sample(bench.unlabelled, min(self.most, len(bench.unlabelled)))
        taught = self._trusted(told(teacher.candidate, bench, inputs), bool(one.labels))
        if not taught:
            raise MethodError(f"The teacher {teacher.trial} was sure of none of {len(inputs)} unlabelled inputs.")
        model = bench.models[one.model]
        pace = Pace(self.learning_rate, self.epochs, self.search)
        recipe = paced(Recipe(rank=self.rank, alpha=2.0 * self.rank), bench, model, pace)
        recipe, before = onward(recipe, one, bench)
        learn, hold = parts(bench)
        finished: Callable[[Tuned], Single]
        if answers(model):
            asked = asking(one, bench, one.shots)
            items = [*asked_items(asked, bench, learn), *taught_items(asked, bench, taught)]
            watch, finished = asked_items(asked, bench, hold), partial(adapted, asked)
        else:
            said = [replace(example, target=prediction.answer) for example, prediction in taught]
            soft = [with_shares(i, p) for i, (_, p) in zip(label_items(one, said), taught, strict=True)]
            items, watch = [*label_items(one, learn), *soft], label_items(one, hold)
            finished = partial(headed, one)
        return finished(best_run(model, bench, recipe, pace, items, watch, before, finished))

    def _teacher(self, bench: Bench) -> Known:
        """The best known candidate that looks at its input, but for the pupil of an earlier rung."""
        able = [k for k in bench.known if not isinstance(k.candidate, Constant) and k.candidate != bench.mine]
        if not able:
            raise MethodError("No candidate is known yet to learn from. Let prompting methods run first.")
        return able[0]

    def _trusted(self, taught: list[tuple[Example, Prediction]], labels: bool) -> list[tuple[Example, Prediction]]:
        """What the teacher is sure of: labels at least as likely as `sure`; of written answers, whose likelihood falls
        with their length, the surer half; all answers where it can't say."""
        answered = [(e, p) for e, p in taught if p.answer and not p.failure]
        if any(p.confidence is None for _, p in answered):
            return answered
        if labels:
            return [(e, p) for e, p in answered if likely(p) >= self.sure]
        return sorted(answered, key=lambda pair: -likely(pair[1]))[: (len(answered) + 1) // 2]


def told(teacher: Candidate, bench: Bench, examples: Sequence[Example]) -> list[tuple[Example, Prediction]]:
    """What a candidate says of examples, as far as a part of the share reaches: the rest is for training."""
    share = bench.share
    tokens, seconds = share.tokens * (1 - TEACHING), share.seconds * (1 - TEACHING)
    found: list[tuple[Example, Prediction]] = []
    for begin in range(0, len(examples), CHUNK):
        block = examples[begin : begin + CHUNK]
        try:
            found += zip(block, predict(teacher, bench.models, [e.inputs for e in block]), strict=True)
        except BudgetSpent:
            break
        if bench.share.tokens <= tokens or bench.share.seconds <= seconds:
            break
    return found


def taught_items(asked: Single, bench: Bench, taught: Sequence[tuple[Example, Prediction]]) -> list[TuneItem]:
    """Prompts to the pupil with what the teacher said of their inputs."""
    said = {id(made := replace(example, target=p.answer)): (made, p) for example, p in taught}
    pairs = asked_pairs(asked, bench, [example for example, _ in said.values()])
    return [with_shares(replace(item, weight=1.0), said[id(example)][1]) for example, item in pairs]


def with_shares(item: TuneItem, prediction: Prediction) -> TuneItem:
    """The item with the probabilities of a prediction, where they are of the item's choices."""
    if not item.choices or prediction.nats is None or len(prediction.nats) != len(item.choices):
        return item
    top = max(prediction.nats)
    weights = [exp(nats - top) for nats in prediction.nats]
    return replace(item, shares=tuple(weight / sum(weights) for weight in weights))
