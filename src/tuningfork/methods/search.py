"""A small search for the learning rate, inside a method's own share.

The rate moves results more than the method's name does, and the best one differs from task to task. So where there is
time, a few rates each get a quarter of the way (Jamieson & Talwalkar 2016, arXiv 1502.07943, with two rungs), hold says
which is best, and that one goes on for the rest. A tie goes to the rate that the method begins with. Every trial costs
of the share and stands in the log as a training of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..candidate import Candidate
from ..errors import MethodError, TrainingFailed
from ..method import Bench
from ..model import Adapter, Recipe, Tuned, TuneItem
from ..task import plain_text
from .defaults import Pace

FACTORS = (1.0, 3.0, 1 / 3, 10.0, 0.1)
"""Rates that are tried, as multiples of the first; the first so many of them."""
TRIALS = 3
"""Rates that are tried where the user does not say how many."""
SHORT = 0.25
"""Of the way: what a trial gets."""
LONG_SECONDS = 900.0
"""From this budget on there is time to search; before, only where the user asks for it."""
TOKENS_A_WORD = 1.5

Train = Callable[[Recipe, Adapter | None, float], Tuned]
"""(recipe, adapter to go on from, portion of what is left of the share) -> what came of it."""


def searched(
    bench: Bench,
    recipe: Recipe,
    pace: Pace,
    items: Sequence[TuneItem],
    before: Adapter | None,
    train: Train,
    finished: Callable[[Tuned], Candidate],
) -> tuple[Recipe, Adapter | None]:
    """The recipe to train by and the adapter to go on from: of several rates the best on hold, or as they are where
    nothing is searched for. `finished` makes the candidate of a trial."""
    count = trials(bench, recipe, pace, items)
    if count < 2:
        return recipe, before
    found: list[tuple[float, Tuned]] = []
    for factor in FACTORS[:count]:
        rate = recipe.learning_rate * factor
        try:
            made = train(replace(recipe, learning_rate=rate, epochs=recipe.epochs * SHORT), before, SHORT)
        except TrainingFailed:
            continue
        found.append((rate, made))
    if not found:
        raise MethodError(f"None of {count} learning rates about {recipe.learning_rate:g} could be trained at.")
    candidates = [finished(made) for _, made in found]
    chosen = bench.pick(candidates)
    rate, made = next(pair for pair, candidate in zip(found, candidates, strict=True) if candidate is chosen)
    return replace(recipe, learning_rate=rate, epochs=recipe.epochs * (1 - SHORT)), made.adapter


def trials(bench: Bench, recipe: Recipe, pace: Pace, items: Sequence[TuneItem]) -> int:
    """How many rates to try: none on a later rung, without hold, where the user named the rate, in a short race, or
    where the share is less than so many times the planned cost."""
    if bench.mine is not None or not bench.hold:
        return 0
    seconds = bench.task.budget.seconds
    usual = TRIALS if pace.learning_rate is None and (seconds is None or seconds >= LONG_SECONDS) else 0
    count = min(pace.search or usual, len(FACTORS))
    words = sum(len(plain_text(message.content).split()) for item in items for message in item.prompt.messages)
    planned = recipe.epochs * TOKENS_A_WORD * words
    return count if bench.share.trained_tokens >= count * planned else 0
