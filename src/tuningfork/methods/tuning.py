"""What the roads of tuning share: items as `predict` renders them, a share kept to, and the call of the model's `tune`.

A model that answers learns to say the wanted answer to the very prompt that `predict` will ask, demonstrations
included. With few labels the loss is over these labels only, so nothing is spent on learning to write. An encoder
learns together with a linear head on its pooled vector. Hold decides when to stop; going on from an earlier rung, that
has been decided, and hold is learnt too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..candidate import Candidate, Head, Prediction, Single
from ..errors import MethodError, ModelError
from ..method import Bench, single
from ..model import Adapter, Model, Recipe, Tuned, TuneItem
from ..predict.prompt import default_template, plain_input
from ..predict.shots import prompter
from ..task import Example, Message, Prompt, plain_text
from . import yes_no
from .contender import config_of
from .defaults import Pace, paced
from .draws import unshown
from .search import searched
from .zero_shot import asking

CHOICES = 16
"""Up to so many labels, each item's loss compares all of them; above, the label's words are learned as text."""
SHARE = 0.9
"""Of what is left to the method; the rest is for what a look at hold and loading cost."""
IMBALANCE = 3.0
"""From so many times as many examples of the commonest label as of the rarest, rare ones weigh more."""


def tuned(start: Candidate, bench: Bench, name: str, recipe: Recipe, pace: Pace) -> Candidate:
    """The start with weights that a recipe moved on the train examples. A recipe is for a first rung; going on from an
    earlier one it takes half the way at half the pace."""
    one = single(start, name)
    model = bench.models[one.model]
    recipe, before = onward(paced(recipe, bench, model, pace), one, bench)
    train, hold = parts(bench)
    finished: Callable[[Tuned], Single]
    if answers(model):
        asked = asking(one, bench, one.shots)
        items, watch = asked_items(asked, bench, train), asked_items(asked, bench, hold)
        finished = partial(adapted, asked)
    else:
        if not one.labels:
            raise MethodError(f"{one.model} is an encoder: it can learn labels and can't learn to write.")
        items, watch, finished = label_items(one, train), label_items(one, hold), partial(headed, one)
    return finished(best_run(model, bench, recipe, pace, items, watch, before, finished))


def best_run(
    model: Model,
    bench: Bench,
    recipe: Recipe,
    pace: Pace,
    items: Sequence[TuneItem],
    hold: Sequence[TuneItem],
    before: Adapter | None,
    finished: Callable[[Tuned], Candidate],
    portion: float = 1.0,
) -> Tuned:
    """`run`, at the best of a few rates where there is time to search for it."""

    def train(recipe: Recipe, before: Adapter | None, part: float) -> Tuned:
        return run(model, bench, recipe, items, hold, before, portion * part)

    recipe, before = searched(bench, recipe, pace, items, before, train, finished)
    return train(recipe, before, 1.0)


def answers(model: Model) -> bool:
    """Whether a model says its answers, rather than giving vectors."""
    return bool(model.capabilities & {"score", "generate"})


def adapted(asked: Single, made: Tuned) -> Single:
    """A model that answers, with the adapter that it was tuned with."""
    return replace(asked, adapter=made.adapter)


def headed(one: Single, made: Tuned) -> Single:
    """An encoder with the adapter and the head that it was tuned with."""
    if made.head is None:
        raise MethodError(f"{one.model} tuned its weights but gave no head for the labels.")
    read = replace(one, prompt=None, shots=(), calibration=None, answer_by="head")
    return replace(read, adapter=made.adapter, head=Head(made.head, pooling=None, normalise=True))


def run(
    model: Model,
    bench: Bench,
    recipe: Recipe,
    items: Sequence[TuneItem],
    hold: Sequence[TuneItem],
    before: Adapter | None,
    portion: float = 1.0,
) -> Tuned:
    """The model's own tuning, within a portion of what is left of the method's share. Raises MethodError where it can't
    be."""
    if not items:
        raise MethodError("There are no train examples to tune on.")
    share = bench.share
    seconds, tokens = share.seconds * SHARE * portion, int(share.trained_tokens * SHARE * portion)
    recipe = replace(recipe, max_tokens=tokens, max_seconds=seconds, seed=bench.seed)
    if not recipe.max_tokens or seconds <= 0:
        raise MethodError("No training is left in this method's share. A larger budget gives it some.")
    try:
        return model.tune(recipe, items, hold, before)
    except ModelError as error:
        raise MethodError(f"{model.id} could not be tuned: {error}") from error


def parts(bench: Bench) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """What to learn from and what to choose on."""
    if isinstance(bench.mine, Single):
        return (*bench.train, *bench.hold), ()
    return bench.train, bench.hold


def onward(recipe: Recipe, one: Single, bench: Bench) -> tuple[Recipe, Adapter | None]:
    """The weights to go on from: this method's own of an earlier rung, at half the pace that they were tuned at and for
    half the way; else those that it was started with."""
    mine = bench.mine.adapter if isinstance(bench.mine, Single) else None
    if mine is None:
        return recipe, one.adapter
    rate = rate_of(mine) or recipe.learning_rate
    half = replace(recipe, learning_rate=rate / 2, head_learning_rate=recipe.head_learning_rate / 2)
    return replace(half, epochs=recipe.epochs / 2), mine


def rate_of(adapter: Adapter) -> float | None:
    """The rate that an adapter was tuned at, where it says so."""
    rate = config_of(adapter).get("tuningfork_learning_rate")
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def asked_items(asked: Single, bench: Bench, examples: Sequence[Example]) -> list[TuneItem]:
    """Prompts as `predict` renders them, no example shown to itself, and what should be said."""
    return [item for _, item in asked_pairs(asked, bench, examples)]


def asked_pairs(asked: Single, bench: Bench, examples: Sequence[Example]) -> list[tuple[Example, TuneItem]]:
    """The same with the example that each is made of: those that can't be asked are left out."""
    if not asked.exclusive:
        return yes_no.pairs(asked, bench, examples)
    words = dict(zip(asked.labels, asked.words, strict=True))
    choices = asked.words if len(asked.words) <= CHOICES and asked.answer_by == "score" else ()
    rest = unshown(asked, tuple(examples))
    rendered = prompter(asked, bench.models, others_only=True)([example.inputs for example in rest]) if rest else []
    weights = weights_of(asked, rest)
    return [
        (example, TuneItem(item.prompt, words.get(example.answer, example.answer), choices, weight))
        for example, item, weight in zip(rest, rendered, weights, strict=True)
        if isinstance(item.prompt, Prompt)
    ]


def label_items(one: Single, examples: Sequence[Example]) -> list[TuneItem]:
    """Plain inputs and their labels, as an encoder learns them: one, or a share of 1 or 0 for each."""
    if not one.exclusive:
        shares = [tuple(float(label in yes_no.sets(example)) for label in one.labels) for example in examples]
        asked = zip(examples, shares, strict=True)
        return [TuneItem(text_prompt(e), None, one.labels, shares=held, exclusive=False) for e, held in asked]
    weights = weights_of(one, examples)
    return [
        TuneItem(text_prompt(example), example.answer, one.labels, weight)
        for example, weight in zip(examples, weights, strict=True)
    ]


def text_prompt(example: Example) -> Prompt:
    """An example's plain input as the only message, as an encoder reads it."""
    return Prompt((Message("user", plain_input(example.inputs)),))


def softly_tuned(start: Candidate, bench: Bench, recipe: Recipe, from_prompt: bool, pace: Pace) -> Candidate:
    """The start with virtual tokens that begin as the best prompt known, or as random ones."""
    recipe = replace(recipe, start_text=best_prompt(start, bench) if from_prompt else "")
    return tuned(start, bench, recipe.kind, recipe, pace)


def best_prompt(start: Candidate, bench: Bench) -> str:
    """The words of the best prompt known for this model: its demonstrations, which the prompt itself won't have, then
    its messages before the input."""
    model = single(start, "a soft prompt").model
    found = (known.candidate for known in bench.known)
    known = next((c for c in found if isinstance(c, Single) and c.model == model and prompted(c)), None)
    prompt = (known.prompt if known else None) or default_template(bench.task)
    said = []
    if known and isinstance(known.shots, tuple):
        said += ["\n".join((*(value for _, value in shot.inputs), shot.answer)) for shot in known.shots]
    said += [plain_text(message.content) for message in prompt.messages]
    return re.sub(r"\{\{.*?\}\}", "", "\n".join(said)).strip()


def prompted(one: Single) -> bool:
    """Whether a candidate is a prompt to its model and nothing more."""
    return one.prompt is not None and one.adapter is None and one.head is None


def weights_of(one: Single, examples: Sequence[Example]) -> list[float]:
    """An example's weight, of mean 1: where labels are far from equally common, one over the root of its label's
    count, which helps the rare ones without letting a handful of them decide."""
    counts = Counter(example.answer for example in examples)
    if not one.labels or not counts or max(counts.values()) < IMBALANCE * min(counts.values()):
        return [1.0] * len(examples)
    raw = [counts[example.answer] ** -0.5 for example in examples]
    return [weight * len(raw) / sum(raw) for weight in raw]


def likely(prediction: Prediction) -> float:
    """How sure a candidate is of its answer; 0 where it can't say or failed."""
    return 0.0 if prediction.failure or prediction.confidence is None else prediction.confidence
