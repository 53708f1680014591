"""Where the methods of tuning begin: a rate, how often each example is seen, and how both follow from the task.

One row for each way of moving weights. `benchmarks/defaults.py` repeats the runs that choose them and those that check;
what follows the literature names it.

- Size: larger models take smaller steps. Rates of moved weights fall with the number of parameters to the power of
  0.4, from 135 million on: 1e-3 for LoRA there is 2e-4 at 7 billion and 1e-4 at 40, as QLoRA uses (Dettmers et al.
  2023, arXiv 2305.14314). Measured here are 23 and 135 million only; rates of virtual tokens and of factors do not
  follow size (Lester et al. 2021, arXiv 2104.08691).
- Examples: up to a few, each is seen as often as the row says; from there on steps grow with the root of the examples.
- Labels: no rule of their own; that many labels need more passes is not shown.

No rate follows from our runs so far: too few are done (`benchmarks/results/defaults.json`) to choose and to check one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..method import Bench
from ..model import Model, Recipe

FEW = 256
"""Up to so many examples, each is seen as often as the row says."""
FEWEST_PASSES = 2.0
SMALL = 135e6
"""Parameters up to which a rate is as its row says."""
BY_SIZE = 0.4


@dataclass(frozen=True)
class Default:
    """A learning rate, how often each of a few examples is seen, and the power by which the rate falls with size."""

    rate: float
    passes: float
    by_size: float = BY_SIZE


DEFAULTS: Mapping[str, Default] = {
    "lora": Default(1e-3, 10.0),
    "bottleneck": Default(1e-3, 10.0),
    "full": Default(5e-5, 6.0),
    "last_layers": Default(1e-4, 10.0),
    # Few numbers move, so they need large steps and more of them (Liu et al. 2022; Ben Zaken et al. 2022).
    "ia3": Default(1e-2, 16.0, 0.0),
    "bias": Default(2e-3, 16.0, 0.0),
    "prompt_tuning": Default(1e-2, 16.0, 0.0),
    "prefix_tuning": Default(1e-2, 16.0, 0.0),
    # The network between ties the tokens together, so that small steps reach all of them.
    "p_tuning": Default(1e-3, 16.0, 0.0),
    # Few texts in many pairs: each pass over the texts is one over a batch's worth of pairs for each of them.
    "pairs full": Default(5e-5, 16.0),
    "pairs lora": Default(1e-3, 16.0),
    # Half of what a method begins with, where it is not known what moves.
    "start": Default(5e-4, 6.0),
}


@dataclass(frozen=True)
class Pace:
    """What a user says of a training: its rate, its passes over the examples, and how many rates to try before it. None
    is for the method to choose."""

    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None


def paced(recipe: Recipe, bench: Bench, model: Model, pace: Pace) -> Recipe:
    """A recipe with the rate and the passes that the user says, or those of its row."""
    row = DEFAULTS[f"pairs {recipe.kind}" if recipe.pairs else recipe.kind]
    count = max(1, len(bench.train))
    passes = max(FEWEST_PASSES, row.passes * min(1.0, (FEW / count) ** 0.5))
    return replace(
        recipe,
        learning_rate=pace.learning_rate or row.rate * for_size(model, row.by_size),
        epochs=pace.epochs or passes,
    )


def for_size(model: Model, power: float) -> float:
    """What a rate is multiplied by for a model of this size; 1 where it does not say its size."""
    parameters: int | None = getattr(model, "parameters", None)
    return min(1.0, SMALL / parameters) ** power if parameters else 1.0
