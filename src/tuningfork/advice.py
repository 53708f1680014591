"""A first answer before any race: the facts of a task gathered, a model asked a little where that is wanted.

`decide/advise.py` decides; here is only looked. Without a model this takes as long as reading the data.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .decide.advise import Advice, Facts, advise
from .task import Example, Inputs, Message, Prompt, Split, Task, plain_text

if TYPE_CHECKING:
    from .model import Model

ASKED = 32
"""Train items that a bare prompt is tried on, and inputs that are read."""
SECONDS = 30.0
"""After so many no further block of items is asked."""
BLOCK = 8
CHARACTERS = 600
"""Of an input, when it is read for how surprising it is."""


def advice(task: Task, split: Split, *, ask: bool = False) -> Advice:
    """What to do first. With `ask`, the largest model that can be prompted tries a few train items, which it is opened
    for. Raises UserError where a model's name or files are wrong."""
    found = facts(task, split)
    if ask and found.promptable:
        found = _asked(found, task, split)
    return advise(found)


def facts(task: Task, split: Split) -> Facts:
    """What the data and the menu of models tell; no model is opened."""
    from .models import capabilities

    can = [capabilities(name) for name in task.models]
    examples = [*split.train, *split.hold, *split.dev]
    counts = Counter(label for example in examples for label in _labels(task, example))
    return Facts(
        examples=len(examples),
        classes=len(task.labels or counts),
        rarest=min(counts.values(), default=0),
        largest_share=max(counts.values(), default=0) / max(1, len(examples)),
        promptable=any({"score", "generate"} & able for able in can),
        tunable=any("tune" in able for able in can),
        parameters=_parameters(task),
    )


def _labels(task: Task, example: Example) -> Iterable[str]:
    """The labels that an example bears; none for written answers."""
    if task.kind == "generation" or example.target is None:
        return ()
    return (example.target,) if isinstance(example.target, str) else example.target


def _parameters(task: Task) -> float | None:
    """Of the largest model that can be prompted; None where one of them is not on the menu, as an endpoint isn't."""
    from .models import capabilities, menu

    able = [name for name in task.models if {"score", "generate"} & capabilities(name)]
    known = {info.id: info.parameters for info in menu()}
    sizes = [known.get(name) for name in able]
    return max((float(size) for size in sizes if size is not None), default=None) if None not in sizes else None


def _asked(found: Facts, task: Task, split: Split) -> Facts:
    """The same facts, and what the largest promptable model says to a bare prompt."""
    from .models import capabilities, menu, open_model

    sizes = {info.id: info.parameters or 0 for info in menu()}
    able = [name for name in task.models if {"score", "generate"} & capabilities(name)]
    model = open_model(max(able, key=lambda name: sizes.get(name, float("inf"))))
    items = (split.hold or split.train)[:ASKED]  # hold is a part of train, dealt at random
    deadline = time.monotonic() + SECONDS
    right, of = _zero_shot(task, model, items, deadline)
    nats = _nats_a_token(model, items, deadline)
    return replace(found, zero_shot=(right, of) if of else None, nats_a_token=nats)


def _zero_shot(task: Task, model: Model, items: Sequence[Example], deadline: float) -> tuple[int, int]:
    """How many items a bare prompt gets right, by accuracy for labels and the task's own idea of right for texts."""
    from .metrics import defaults_for, open_metric
    from .predict import predict
    from .race.plan import start

    candidate = start(task, model.id, model.capabilities)
    metric = open_metric((task.metrics or defaults_for(task.kind, items))[0])
    best = metric.range[1] if metric.higher_is_better else metric.range[0]
    right = of = 0
    for begin in range(0, len(items), BLOCK):
        if of and time.monotonic() > deadline:
            break
        block = items[begin : begin + BLOCK]
        said = list(predict(candidate, {model.id: model}, [example.inputs for example in block]))
        right += sum(not p.failure and metric.item(e, p) == best for e, p in zip(block, said, strict=True))
        of += len(block)
    return right, of


def _nats_a_token(model: Model, items: Sequence[Example], deadline: float) -> float | None:
    """Cross-entropy of the inputs as the model's own writing; None where it can't score, or time is up."""
    from .model import ScoreRequest, Scores

    if "score" not in model.capabilities or time.monotonic() > deadline:
        return None
    prompt = Prompt((Message("user", "Write a short text."),))
    found = [s for s in model.score([ScoreRequest(prompt, (_text(e.inputs),)) for e in items]) if isinstance(s, Scores)]
    tokens = sum(scores.tokens[0] for scores in found)
    return -sum(scores.nats[0] for scores in found) / tokens if tokens else None


def _text(inputs: Inputs) -> str:
    return "\n".join(plain_text(content) for content in inputs.values())[:CHARACTERS]
