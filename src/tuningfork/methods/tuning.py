"""What the roads of tuning share: items as `predict` renders them, a share kept to, and the call of the model's `tune`.

A model that answers learns to say the wanted answer to the very prompt that `predict` will ask, demonstrations
included. With few labels the loss is over these labels only, so nothing is spent on learning to write. An encoder
learns together with a linear head on its pooled vector. Hold decides when to stop; going on from an earlier rung, that
has been decided, and hold is learnt too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..candidate import Candidate, Head, Prediction, Single
from ..errors import MethodError, ModelError
from ..method import Bench, single
from ..model import Adapter, Model, Recipe, Tuned, TuneItem
from ..predict.prompt import default_template, plain_input
from ..predict.shots import prompter
from ..task import Example, Message, Prompt, plain_text
from .draws import unshown
from .zero_shot import asking

CHOICES = 16
"""Up to so many labels, each item's loss compares all of them; above, the label's words are learned as text."""
SHARE = 0.9
"""Of what is left to the method; the rest is for what a look at hold and loading cost."""
FEW = 256
"""Up to so many examples, each is seen as often as a method's epochs say."""
FEWEST_EPOCHS = 2.0
IMBALANCE = 3.0
"""From so many times as many examples of the commonest label as of the rarest, rare ones weigh more."""


def paced(recipe: Recipe, bench: Bench, learning_rate: float, epochs: float | None = None, few: float = 10.0) -> Recipe:
    """A recipe with its rate and, where no number of epochs was asked for, as many as `few` examples need and fewer
    where there are more: steps grow with the root of the examples."""
    count = max(1, len(bench.train))
    passes = epochs or max(FEWEST_EPOCHS, few * min(1.0, (FEW / count) ** 0.5))
    return replace(recipe, learning_rate=learning_rate, epochs=passes)


def tuned(start: Candidate, bench: Bench, name: str, recipe: Recipe) -> Candidate:
    """The start with weights that a recipe moved on the train examples. A recipe is for a first rung; going on from an
    earlier one it takes half the way at half the pace."""
    one = single(start, name)
    recipe, before = onward(recipe, one, bench)
    model = bench.models[one.model]
    train, hold = parts(bench)
    if answers(model):
        asked = asking(one, bench, one.shots)
        made = run(model, bench, recipe, asked_items(asked, bench, train), asked_items(asked, bench, hold), before)
        return replace(asked, adapter=made.adapter)
    if not one.labels:
        raise MethodError(f"{one.model} is an encoder: it can learn labels and can't learn to write.")
    made = run(model, bench, recipe, label_items(one, train), label_items(one, hold), before)
    return headed(one, made)


def answers(model: Model) -> bool:
    """Whether a model says its answers, rather than giving vectors."""
    return bool(model.capabilities & {"score", "generate"})


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
    """The weights to go on from: this method's own of an earlier rung, at half the pace for half the way; else those
    that it was started with."""
    mine = bench.mine.adapter if isinstance(bench.mine, Single) else None
    if mine is None:
        return recipe, one.adapter
    return replace(recipe, learning_rate=recipe.learning_rate / 2, epochs=recipe.epochs / 2), mine


def asked_items(asked: Single, bench: Bench, examples: Sequence[Example]) -> list[TuneItem]:
    """Prompts as `predict` renders them, no example shown to itself, and what should be said."""
    return [item for _, item in asked_pairs(asked, bench, examples)]


def asked_pairs(asked: Single, bench: Bench, examples: Sequence[Example]) -> list[tuple[Example, TuneItem]]:
    """The same with the example that each is made of: those that can't be asked are left out."""
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
    """Plain inputs and their labels, as an encoder learns them."""
    weights = weights_of(one, examples)
    return [
        TuneItem(text_prompt(example), example.answer, one.labels, weight)
        for example, weight in zip(examples, weights, strict=True)
    ]


def text_prompt(example: Example) -> Prompt:
    """An example's plain input as the only message, as an encoder reads it."""
    return Prompt((Message("user", plain_input(example.inputs)),))


def softly_tuned(
    start: Candidate, bench: Bench, recipe: Recipe, from_prompt: bool, learning_rate: float, epochs: float | None
) -> Candidate:
    """The start with virtual tokens that begin as the best prompt known, or as random ones."""
    recipe = replace(recipe, start_text=best_prompt(start, bench) if from_prompt else "")
    return tuned(start, bench, recipe.kind, paced(recipe, bench, learning_rate, epochs, few=16.0))


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
