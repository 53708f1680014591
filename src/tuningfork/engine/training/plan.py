"""What is fixed before the first step: how many there are, what ends them, the rate at each, and which batches come."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...model import Recipe
from ..lessons import pairs
from ..lessons.lesson import Lesson
from .lower import READ_COST
from .run import Run

LOOKS = 10
LOOK_SHARE = 0.2


@dataclass(frozen=True)
class Plan:
    """Steps, of which every `look_every`-th is followed by a look at hold, and which of the recipe's limits ends them:
    `epochs`, `steps` or `tokens`."""

    steps: int
    look_every: int
    ends: str


def planned(run: Run, learn: Sequence[Lesson], watch: Sequence[Lesson]) -> Plan:
    """The plan of a training: looking takes at most a fifth of the tokens."""
    recipe = run.recipe
    steps, ends = max(1, round(recipe.epochs * math.ceil(len(learn) / recipe.batch))), "epochs"
    if recipe.max_steps is not None and recipe.max_steps < steps:
        steps, ends = recipe.max_steps, "steps"
    prefix, part = run.reader.shared_tokens, run.lower.rest if run.lower else 1.0
    a_step = (sum(lesson.tokens for lesson in learn) / len(learn) * min(recipe.batch, len(learn)) + prefix) * part
    a_look = (sum(lesson.tokens for lesson in watch) + prefix) * READ_COST * part
    if recipe.max_tokens is not None:
        most = max(1, int(((1 - LOOK_SHARE) * recipe.max_tokens - run.tokens) / a_step))
        if most < steps:
            steps, ends = most, "tokens"
    looks = int(LOOK_SHARE * steps * a_step / a_look) if watch else LOOKS
    return Plan(steps, max(1, math.ceil(steps / max(1, min(LOOKS, looks)))), ends)


def ramp(steps: int, warmup: float) -> Callable[[int], float]:
    """The rate at each step, as a part of the recipe's: up in a straight line, then down to nothing."""
    rise = max(1, round(steps * warmup))
    return lambda k: min(1.0, (k + 1) / rise) * max(0.0, 1 - k / steps)


def dealt(learn: Sequence[Lesson], recipe: Recipe) -> Iterator[list[Lesson]]:
    """Batches without end: shuffled each epoch, rows of like length together, batches in random order."""
    if recipe.pairs and learn[0].target is not None:
        yield from pairs.dealt(learn, recipe.batch, recipe.seed)
    dice = random.Random(recipe.seed)
    while True:
        order = list(range(len(learn)))
        dice.shuffle(order)
        stretch = recipe.batch * 8
        batches = []
        for begin in range(0, len(order), stretch):
            part = sorted(order[begin : begin + stretch], key=lambda i: learn[i].tokens)
            batches += [part[b : b + recipe.batch] for b in range(0, len(part), recipe.batch)]
        dice.shuffle(batches)
        for batch in batches:
            yield [learn[i] for i in batch]
