"""Does it still say the same? The same items under rewordings of the prompt's form, other orders of its demonstrations,
and again where its answers are drawn by lot.

A prompt's form alone moves small models by tens of points (Sclar et al. 2024, arXiv 2310.11324), so a candidate whose
quality hangs on a colon is one to know about. What is reported is the spread between the ways of asking: finalists may
have learnt from the very items (dev has joined train by then), so the level is no estimate of quality; no item is shown
as its own demonstration. Free texts count
as the same where they differ in case and spaces only. When time is short fewer ways are tried, taken by turns from each
kind; `formats`, `orders` and `repeats` say how many were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, ClassVar, cast

from ..candidate import Candidate, Nearest, Prediction, Single, changed_parts, parts_of
from ..metrics import Metric, value
from ..model import Adapter, GenerateRequest, Model
from ..predict import predict
from ..predict.prompt import ASKED_LABEL, shot_of
from ..predict.rewording import orderings, rewordings
from ..predict.shots import without
from ..task import Example

FAR = 1_000_003
"""Between the seeds of two draws, so that they meet none of the samples that a candidate draws itself."""
Ways = Iterator[tuple[str, Callable[[], list[Prediction]]]]


@dataclass(frozen=True)
class Consistency:
    """`mean`, `worst`, `spread` and `flips` of the same items under other forms, orders and draws.

    `spread` is best less worst, the own form among them; `flips` the share of items that got another answer at least
    once; `failed` that of answers that failed, which count nowhere else. `order_...` and `repeat_...` are the same for
    orders of demonstrations and for draws, where there are any.
    """

    items: int = 16
    orders: int = 3
    repeats: int = 3
    most_seconds: float = 10.0

    name: ClassVar[str] = "consistency"

    def __call__(
        self, candidate: Candidate, models: Mapping[str, Model], examples: Sequence[Example], metric: Metric
    ) -> Mapping[str, float]:
        """Nothing for what reads no input, and without examples. At least one way is tried, then as many as
        `most_seconds` allow."""
        examples = [e for e in examples if not _is_shown(candidate, e)][: self.items]
        candidate = changed_parts(candidate, lambda part: _unshown(part, examples))
        begun = time.perf_counter()
        found: dict[str, list[list[Prediction]]] = {"format": [], "order": [], "repeat": []}
        own: list[Prediction] = []
        for kind, ask in self._ways(candidate, models, examples) if examples else ():
            if any(found.values()) and time.perf_counter() - begun > self.most_seconds:
                break
            own = own or list(predict(candidate, models, [e.inputs for e in examples]))
            found[kind].append(ask())
        numbers: dict[str, float] = {}
        for kind, others in found.items():
            if others:
                numbers |= _said(kind, own, others, examples, metric)
        return {**numbers, "items": float(len(examples))} if numbers else {}

    def _ways(self, candidate: Candidate, models: Mapping[str, Model], examples: Sequence[Example]) -> Ways:
        """Ways of asking again: two forms, an order, a draw, and so on by turns."""

        def asks(other: Candidate, again: Mapping[str, Model], change: Callable[[Any], Any]) -> Any:
            return lambda: list(predict(other, again, [change(e.inputs) for e in examples]))

        formats = [("format", asks(other, models, change)) for other, change in rewordings(candidate).values()]
        orders = [("order", asks(other, models, dict)) for other in orderings(candidate, self.orders)]
        drawn = any(isinstance(p, Single) and p.decoding.temperature > 0 for p in parts_of(candidate))
        repeats = [
            ("repeat", asks(candidate, {name: _again(model, number) for name, model in models.items()}, dict))
            for number in range(1, self.repeats + 1 if drawn else 1)
        ]
        return (way for turn in zip_longest(formats[::2], formats[1::2], orders, repeats) for way in turn if way)


def _is_shown(candidate: Candidate, example: Example) -> bool:
    """Whether it is a fixed demonstration of some part: its answer would be read off."""
    fixed = (p.shots for p in parts_of(candidate) if isinstance(p, Single) and isinstance(p.shots, tuple))
    own = shot_of(example.inputs, "").inputs
    shown = (tuple(pair for pair in shot.inputs if pair[0] != ASKED_LABEL) for shots in fixed for shot in shots)
    return own in shown


def _unshown(part: Candidate, examples: Sequence[Example]) -> Candidate:
    """A part that picks its demonstrations, without these examples among them."""
    if isinstance(part, Single) and isinstance(part.shots, Nearest):
        return replace(part, shots=without(part.shots, [example.inputs for example in examples]))
    return part


class _Again:
    """A model whose texts are drawn anew: the seed of a request belongs to its prompt, and here to its number too."""

    def __init__(self, model: Model, number: int) -> None:
        self._model, self._number = model, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, requests: Sequence[GenerateRequest], on_text: Any = None) -> Any:
        return self._model.generate([replace(r, seed=r.seed + FAR * self._number) for r in requests], on_text)

    def adapted(self, adapter: Adapter) -> Model:
        return _again(self._model.adapted(adapter), self._number)


def _again(model: Model, number: int) -> Model:
    return cast(Model, _Again(model, number))


def _said(
    kind: str, own: list[Prediction], others: list[list[Prediction]], examples: Sequence[Example], metric: Metric
) -> dict[str, float]:
    prefix = "" if kind == "format" else f"{kind}_"
    values = [v for v in (value(metric, examples, said) for said in (own, *others)) if v is not None]
    flips = sum(any(_text(said[at]) != _text(own[at]) for said in others) for at in range(len(own)))
    failed = sum(p.failure is not None for said in others for p in said)
    found = {"flips": flips / len(own), "failed": failed / (len(own) * len(others))}
    if values:
        worst, best = (min(values), max(values)) if metric.higher_is_better else (max(values), min(values))
        found |= {"mean": sum(values) / len(values), "worst": worst, "spread": abs(best - worst)}
    return {**{f"{prefix}{name}": number for name, number in found.items()}, f"{kind}s": float(len(others))}


def _text(said: Prediction) -> str:
    """What an answer is compared by; a failure is one of its own."""
    return f"failed: {said.failure.kind}" if said.failure else " ".join(said.answer.casefold().split())
