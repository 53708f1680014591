"""One file a metric, and the menu of them.

A Metric scores one item; what is no mean of items (macro F1) also has a `total`, and its item score is what races run
on. A failed prediction is never scored: whoever calls counts it as a failure. Outsiders add metrics through the entry
point group `tuningfork.metrics`, each a class without arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from ..candidate import Prediction
from ..errors import TaskError, UnknownName
from ..task import Example, Kind

MENU = {
    "accuracy": "accuracy:Accuracy",
    "exact_match": "exact_match:ExactMatch",
    "field_f1": "field_f1:FieldF1",
    "macro_f1": "macro_f1:MacroF1",
    "token_f1": "token_f1:TokenF1",
}


class Metric(Protocol):
    """How good one answer is: a number in `range`, better when higher if `higher_is_better`."""

    @property
    def name(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    @property
    def higher_is_better(self) -> bool: ...

    def item(self, example: Example, prediction: Prediction) -> float: ...


@runtime_checkable
class Total(Protocol):
    """What a metric has besides when its value over many items is not the mean of their scores."""

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float: ...


def open_metric(name: str) -> Metric:
    """The metric of that name. Raises UnknownName, with the menu."""
    if name in MENU:
        module, _, attribute = MENU[name].partition(":")
        found: Metric = getattr(import_module(f".{module}", __name__), attribute)()
        return found
    outside = _outsiders()
    if name not in outside:
        raise UnknownName("metric", name, [*MENU, *outside])
    return outside[name]()


def menu() -> list[str]:
    """Every metric's name, outsiders' included."""
    return sorted({*MENU, *_outsiders()})


def value(metric: Metric, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float | None:
    """A metric's value over items: its `total`, or the mean of its item scores. Failed items are left out; None when
    nothing else is there."""
    pairs = [(e, p) for e, p in zip(examples, predictions, strict=True) if p.failure is None]
    if not pairs:
        return None
    if isinstance(metric, Total):
        return metric.total([e for e, _ in pairs], [p for _, p in pairs])
    return sum(metric.item(e, p) for e, p in pairs) / len(pairs)


def defaults_for(kind: Kind, examples: Iterable[Example]) -> tuple[str, ...]:
    """The metrics of a task that names none, the deciding one first. JSON objects as targets are compared by field."""
    if kind == "classification":
        return ("accuracy", "macro_f1")
    if kind == "generation":
        from .field_f1 import is_record

        targets = [example.answer for example in examples if example.target is not None]
        return ("field_f1" if targets and all(map(is_record, targets)) else "token_f1", "exact_match")
    raise TaskError(f"There is no default metric for the kind {kind!r}. Name one under `metric:`.")


def _outsiders() -> dict[str, Callable[[], Metric]]:
    return {entry.name: partial(_load, entry) for entry in entry_points(group="tuningfork.metrics")}


def _load(entry: EntryPoint) -> Metric:
    metric: Metric = entry.load()()
    return metric
