"""One file a metric, or a family of them that share their arithmetic, and the menu of them.

A Metric scores one item; what is no mean of items (macro F1) also has a `total`, and its item score is what races run
on. What a metric says beside the protocol it says by attributes: `kinds` of task that it fits, `item_range` where that
of an item is another than that of the total, `races_on`, what an item's score is, in words. A failed prediction is
never scored: it stays a failure; so does an answer that a metric can say nothing of (`NoScore`).

A name on the menu may have settings, `numeric(tolerance=0.01)`; `module:function` is the user's own. Outsiders add
metrics through the entry point group `tuningfork.metrics`, each a class without arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

from ..candidate import Prediction
from ..errors import NoScore, TaskError, UnknownName
from ..model import Failure, Model
from ..spec import fits, parse
from ..task import Example, Kind

MENU = {
    "accuracy": "accuracy:Accuracy",
    "balanced_accuracy": "label_counts:BalancedAccuracy",
    "macro_f1": "label_counts:MacroF1",
    "macro_precision": "label_counts:MacroPrecision",
    "macro_recall": "label_counts:MacroRecall",
    "micro_f1": "label_counts:MicroF1",
    "micro_precision": "label_counts:MicroPrecision",
    "micro_recall": "label_counts:MicroRecall",
    "mcc": "mcc:Mcc",
    "log_loss": "probabilities:LogLoss",
    "perplexity": "probabilities:Perplexity",
    "brier": "probabilities:Brier",
    "ece": "ece:Ece",
    "samples_f1": "label_sets:SamplesF1",
    "jaccard": "label_sets:Jaccard",
    "exact_set": "label_sets:ExactSet",
    "hamming_loss": "label_sets:HammingLoss",
    "exact_match": "exact_match:ExactMatch",
    "token_f1": "token_f1:TokenF1",
    "field_f1": "field_f1:FieldF1",
    "numeric": "numeric:Numeric",
    "rouge_1": "rouge:Rouge1",
    "rouge_2": "rouge:Rouge2",
    "rouge_l": "rouge:RougeL",
    "bleu": "bleu:Bleu",
    "chrf": "bleu:Chrf",
    "judge": "judge:Judge",
}
KINDS: frozenset[Kind] = frozenset({"classification", "multilabel", "generation"})
BOUND = frozenset({"labels", "asks"})
"""Fields of a metric that are filled in here, and by no user: the task's labels, and the model of a judge."""


class Metric(Protocol):
    """How good one answer is: a number in `range`, better when higher if `higher_is_better`."""

    @property
    def name(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    @property
    def higher_is_better(self) -> bool: ...

    def item(self, example: Example, prediction: Prediction) -> float:
        """The score of one answer. Raises NoScore where it can say nothing of it."""
        ...


@runtime_checkable
class Total(Protocol):
    """What a metric has besides when its value over many items is not the mean of their scores."""

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float: ...


@runtime_checkable
class Asking(Protocol):
    """A metric that asks the `model` of that name, all items of a block at once; `with_model` gives it the model."""

    @property
    def model(self) -> str: ...
    def with_model(self, model: Model) -> Metric: ...
    def items(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[float | Failure]: ...


def open_metric(spec: str, labels: Sequence[str] = (), folder: str = ".") -> Metric:
    """The metric that `spec` names, for a task with these labels. A user's module is looked for in `folder`.

    Raises UnknownName with the menu, TaskError for settings that can't be, MissingExtra where a library lacks.
    """
    name, given = parse(spec, "metric")
    if is_function(spec):
        from .function import open_function

        return open_function(name, folder, given)
    found: Any = _open(name)
    known = {field.name: getattr(found, field.name) for field in fields(found)} if is_dataclass(found) else {}
    for key, value in given.items():
        if key not in known or key in BOUND:
            raise UnknownName("setting", key, set(known) - BOUND, f"the metric {spec!r}")
        if not fits(value, known[key]):
            raise TaskError(f"{key}={value!r} in the metric {spec!r} can't be: as a rule it is {known[key]!r}.")
    if "labels" in known:
        given["labels"] = tuple(labels)
    metric: Metric = replace(found, **given) if given else found
    return metric


def is_function(spec: str) -> bool:
    """Whether a metric is the user's own function, which has no total."""
    return ":" in parse(spec, "metric")[0]


def menu() -> list[str]:
    """Every metric's name, outsiders' included."""
    return sorted({*MENU, *_outsiders()})


def kinds_of(metric: Metric) -> frozenset[Kind]:
    """The kinds of task that a metric fits; all where it does not say."""
    return getattr(metric, "kinds", KINDS)


def item_range(metric: Metric) -> tuple[float, float]:
    """The range of an item's score, which is that of the metric unless it says another."""
    return getattr(metric, "item_range", metric.range)


def must_fit(metric: Metric, kind: Kind) -> None:
    """Raises TaskError, with the metrics that do, where a metric does not fit a kind of task."""
    if kind not in kinds_of(metric):
        able = [name for name, place in MENU.items() if kind in kinds_of(_class(place))]
        raise TaskError(
            f"The metric {metric.name} is for {' and '.join(sorted(kinds_of(metric)))}, and this task is {kind}."
            f" What fits: {', '.join(sorted(able))}, or a function of your own."
        )


def scores(metric: Metric, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[float | Failure]:
    """The score of every item; where an item failed, or can't be scored, why. Raises TaskError for a score that is no
    number of the metric's range."""
    pairs = [(e, p) for e, p in zip(examples, predictions, strict=True) if p.failure is None]
    if isinstance(metric, Asking):
        found = iter(metric.items([e for e, _ in pairs], [p for _, p in pairs]) if pairs else ())
    else:
        found = (_item(metric, e, p) for e, p in pairs)
    low, high = item_range(metric)
    made: list[float | Failure] = []
    for example, prediction in zip(examples, predictions, strict=True):
        score = prediction.failure or next(found)
        where = f"for example {example.id!r}"
        made.append(score if isinstance(score, Failure) else _checked(metric.name, score, low, high, where))
    return made


def value(metric: Metric, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float | None:
    """A metric's value over items: its `total`, or the mean of its item scores. Items that failed or can't be scored
    are left out; None when nothing else is there."""
    found = [(e, p, s) for e, p, s in zip(examples, predictions, scores(metric, examples, predictions), strict=True)]
    scored = [(e, p, s) for e, p, s in found if not isinstance(s, Failure)]
    if not scored:
        return None
    if isinstance(metric, Total):
        return total(metric, [e for e, _, _ in scored], [p for _, p, _ in scored])
    return sum(s for _, _, s in scored) / len(scored)


def total(metric: Total, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
    """A metric's total over items, all of them answered. Raises TaskError where it is no number of its range."""
    name, (low, high) = getattr(metric, "name", type(metric).__name__), getattr(metric, "range", (-math.inf, math.inf))
    return _checked(name, metric.total(examples, predictions), low, high, f"over {len(examples)} items")


def defaults_for(kind: Kind, examples: Iterable[Example]) -> tuple[str, ...]:
    """The metrics of a task that names none, the deciding one first. JSON objects as targets are compared by field."""
    if kind == "classification":
        return ("accuracy", "macro_f1")
    if kind == "multilabel":
        return ("samples_f1", "exact_set")
    from .field_f1 import is_record

    targets = [example.answer for example in examples if example.target is not None]
    return ("field_f1" if targets and all(map(is_record, targets)) else "token_f1", "exact_match")


def _item(metric: Metric, example: Example, prediction: Prediction) -> float | Failure:
    try:
        return float(metric.item(example, prediction))
    except NoScore as reason:
        return Failure(reason.kind, str(reason))


def _checked(name: str, score: float, low: float, high: float, where: str) -> float:
    if not low - 1e-9 <= score <= high + 1e-9:  # also true for NaN
        raise TaskError(
            f"The metric {name} gave {score} {where}, outside its range of {low:g} to {high:g}. Mend the metric, or"
            " the range that it declares."
        )
    return min(max(score, low), high)


def _class(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(f".{module}", __name__), attribute)


def _open(name: str) -> Metric:
    if name in MENU:
        found: Metric = _class(MENU[name])()
        return found
    outside = _outsiders()
    if name not in outside:
        raise UnknownName("metric", name, [*MENU, *outside])
    return outside[name]()


def _outsiders() -> dict[str, Callable[[], Metric]]:
    return {entry.name: partial(_load, entry) for entry in entry_points(group="tuningfork.metrics")}


def _load(entry: EntryPoint) -> Metric:
    metric: Metric = entry.load()()
    return metric
