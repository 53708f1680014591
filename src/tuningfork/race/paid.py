"""Models that are paid for by the token: how fast they answer here, and the most that a race on them can cost.

How fast is measured with one call of a few of the task's own inputs, since every call costs. What is read and what is
written share its seconds in halves: a server does not say which took how long. It counts for the planned clock only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ModelError, TaskError
from ..model import EmbedRequest, Failure, GenerateRequest, Model, ScoreRequest, Usage
from ..predict.each import YES_NO, question
from ..predict.prompt import default_template, plain_input, render, words_of
from ..price import MILLION, Price
from ..task import Budget, Example, Task
from .meter import Rates

INPUTS = 8
ANSWER_TOKENS = 24


@dataclass(frozen=True)
class Speed:
    """Tokens a second read and written, and what measuring them cost."""

    read: float
    write: float
    usage: Usage


def prices_of(models: Mapping[str, Model]) -> dict[str, Price]:
    """What the models behind an API cost, by name. Local ones have no price."""
    found = {name: getattr(model, "price", None) for name, model in models.items()}
    return {name: price for name, price in found.items() if price is not None}


def probe(task: Task, examples: Sequence[Example], model: Model, price: Price) -> Speed:
    """Ask about a few inputs, once. Raises TaskError when the budget may not pay for that, ModelError when none is
    answered."""
    ask, requests = _questions(task, examples[:INPUTS], model)
    most = sum(price.most_usd(request) for request in requests)
    if task.budget.usd is not None and most > task.budget.usd:
        raise TaskError(
            f"The budget of {task.budget.usd:g} USD may not even pay for measuring the speed of {model.id}, which can"
            f" cost {most:.4f} USD. Give more, or race without it."
        )
    begin = time.perf_counter()
    found = ask(requests)
    seconds = max(1e-6, time.perf_counter() - begin)
    used = sum((result.usage for result in found), Usage())
    if found and all(isinstance(result, Failure) for result in found):
        raise ModelError(
            f"{model.id} failed on all of {len(found)} of the task's inputs. The first: {found[0].message}"
        )
    half = seconds if not used.tokens_out else seconds / 2
    return Speed((used.tokens_in + used.tokens_reused) / half, max(1, used.tokens_out) / half, used)


def limit_usd(budget: Budget, prices: Mapping[str, Price], rates: Mapping[str, Rates], seconds: float) -> float | None:
    """The most that a race may cost: what the budget says; else what the dearest model could cost if it were asked all
    the planned seconds long, up to the next cent. None where nothing costs."""
    costing = {name: price for name, price in prices.items() if price.read or price.write}
    if not costing:
        return None
    if budget.usd is not None:
        return budget.usd
    each = [max(rates[name].read * price.read, rates[name].write * price.write) for name, price in costing.items()]
    return math.ceil(100 * seconds * max(each) / MILLION + 1) / 100


def _questions(
    task: Task, examples: Sequence[Example], model: Model
) -> tuple[Callable[[Sequence[Any]], Sequence[Any]], list[Any]]:
    can = model.capabilities
    if "generate" not in can and "score" not in can:
        return model.embed, [EmbedRequest(plain_input(e.inputs)) for e in examples]
    each, words = task.kind == "multilabel", words_of(task.labels)
    asked = [question(e.inputs, words[0]) if each else e.inputs for e in examples]
    prompts = [render(default_template(task), inputs) for inputs in asked]
    if task.labels and "score" in can:
        return model.score, [ScoreRequest(prompt, YES_NO if each else words) for prompt in prompts]
    return model.generate, [GenerateRequest(prompt, max_tokens=ANSWER_TOKENS) for prompt in prompts]
