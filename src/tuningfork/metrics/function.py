"""The user's own Python function as a metric: `module:function`, its module beside the task file.

It is called with the answer and the target (a text; a list of them where several will do, or where a task has several
labels, and then the answer is a list too), and, where it takes a third, a dict of the inputs; it returns a number. Its
range and direction stand in the task file, `scoring:points(range=[0, 10], higher_is_better=false)`, or on the function
(`points.range = (0, 10)`); without either it is 0 to 1 and higher is better. It scores items, and its value is their
mean, so a decision on the log needs the scores that the race wrote down and not the function.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..candidate import Prediction
from ..errors import TaskError, UnknownName
from ..functions import load_function, on_path
from ..task import Example, plain_text, set_of

SETTINGS = ("range", "higher_is_better")


@dataclass(frozen=True)
class FunctionMetric:
    """A function of the user's."""

    path: str
    folder: str
    range: tuple[float, float]
    higher_is_better: bool
    call: Callable[..., Any]
    inputs: bool

    @property
    def name(self) -> str:
        return self.path.partition(":")[2]

    def item(self, example: Example, prediction: Prediction) -> float:
        sets = isinstance(example.target, frozenset)
        answer: Any = sorted(set_of(prediction.answer)) if sets else prediction.answer
        target = example.target if isinstance(example.target, str | None) else sorted(example.target)
        given: list[Any] = [answer, target]
        if self.inputs:
            given.append({name: plain_text(content) for name, content in example.inputs.items()})
        try:
            with on_path(self.folder):
                return float(self.call(*given))
        except (Exception, SystemExit) as error:
            raise TaskError(
                f"The metric {self.path} raised {type(error).__name__} on the answer {answer!r:.80} to example"
                f" {example.id!r}: {error}. Mend the function: it must return a number for any answer."
            ) from error


def open_function(path: str, folder: str, given: Mapping[str, Any]) -> FunctionMetric:
    """The function at `module:function`, with what the task file says of it. Raises TaskError or UnknownName."""
    module, _, attribute = path.partition(":")
    path = f"{module.removesuffix('.py')}:{attribute}"
    call = load_function(path, folder)
    for key in given:
        if key not in SETTINGS:
            raise UnknownName("setting", key, SETTINGS, f"the metric {path!r}")
    bounds = given.get("range", getattr(call, "range", (0.0, 1.0)))
    higher = given.get("higher_is_better", getattr(call, "higher_is_better", True))
    if not _is_range(bounds) or not isinstance(higher, bool):
        raise TaskError(
            f"The metric {path} has the range {bounds!r} and higher_is_better {higher!r}. Give two finite numbers, the"
            " lower one first, and true or false."
        )
    return FunctionMetric(path, folder, (float(bounds[0]), float(bounds[1])), higher, call, _takes(call, path) > 2)


def _is_range(bounds: Any) -> bool:
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        return False
    numbers = [b for b in bounds if isinstance(b, int | float) and not isinstance(b, bool) and math.isfinite(b)]
    return len(numbers) == 2 and numbers[0] < numbers[1]


def _takes(call: Callable[..., Any], path: str) -> int:
    """How many arguments a function takes, at most 3. Raises TaskError for one that can't be called with two."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):
        return 2  # one that is written in C does not say
    for count in (3, 2):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    raise TaskError(f"The metric {path} takes {signature}. It is called with the answer and the target.")
