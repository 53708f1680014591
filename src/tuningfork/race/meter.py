"""What everything costs, and models that refuse past their share.

The race keeps time on a *planned clock*: tokens divided by the rates that a short probe measured and the plan wrote
down. It runs the same on every repetition of a plan, whatever else the machine is doing; the real clock only stops a
race. A share is checked before each call and charged after it; calls are as small as `predict` makes them, so a share
is overrun by at most one chunk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BudgetSpent, TrainingFailed
from ..method import Share
from ..model import (
    Adapter,
    Answer,
    Capability,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    Recipe,
    ScoreRequest,
    Scores,
    Tuned,
    TuneItem,
    Usage,
    Vector,
)


@dataclass(frozen=True)
class Rates:
    """Tokens a second of one model on this machine, as probed: reading, writing, training."""

    read: float
    write: float
    train: float

    def seconds(self, usage: Usage) -> float:
        """What a usage costs on the planned clock."""
        trained = usage.tokens_trained / self.train if usage.tokens_trained else 0.0
        return usage.tokens_in / self.read + usage.tokens_out / self.write + trained


@dataclass
class Meter:
    """One share: `planned_seconds` on the planned clock and `real_seconds` on the wall, and what has been used of
    it."""

    rates: Mapping[str, Rates]
    planned_seconds: float
    real_seconds: float
    on_tuned: Callable[[Recipe, Tuned], None] | None = None
    spent_seconds: float = 0.0
    usage: Usage = Usage()
    began: float = field(default_factory=time.perf_counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, model: str) -> None:
        """Raises BudgetSpent when nothing is left."""
        if self.spent_seconds >= self.planned_seconds:
            raise BudgetSpent(f"Its share of {self.planned_seconds:.0f} planned seconds is used up (at {model}).")
        if time.perf_counter() - self.began >= self.real_seconds:
            raise BudgetSpent(f"Its limit of {self.real_seconds:.0f} real seconds is reached (at {model}).")

    def charge(self, model: str, usage: Usage) -> None:
        """Take a usage off the share."""
        with self._lock:
            self.usage = self.usage + usage
            self.spent_seconds += self.rates[model].seconds(usage)

    def left(self, model: str | None) -> Share:
        """What remains, as tokens of one model."""
        seconds = max(0.0, self.planned_seconds - self.spent_seconds)
        real = max(0.0, self.real_seconds - (time.perf_counter() - self.began))
        if model is None:
            return Share(0, 0, real)
        rates = self.rates[model]
        return Share(int(seconds * rates.read), int(seconds * rates.train), real)


class Metered:
    """A model behind a meter. Its adapted models are behind the same one."""

    def __init__(self, model: Model, name: str, meter: Meter) -> None:
        self._model, self._name, self._meter = model, name, meter

    @property
    def id(self) -> str:
        return self._model.id

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._model.capabilities

    @property
    def parameters(self) -> int | None:
        """How many weights it has, where it says so."""
        return getattr(self._model, "parameters", None)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        return self._charged(self._model.score, requests)

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        return self._charged(lambda r: self._model.generate(r, on_text), requests)

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        return self._charged(self._model.embed, requests)

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned:
        self._meter.check(self._name)
        try:
            tuned = self._model.tune(recipe, items, hold, start)
        except TrainingFailed as error:
            if error.cost is not None:
                self._settle(recipe, error.cost)
            raise
        return self._settle(recipe, tuned)

    def _settle(self, recipe: Recipe, tuned: Tuned) -> Tuned:
        self._meter.charge(self._name, tuned.usage)
        if self._meter.on_tuned:
            self._meter.on_tuned(recipe, tuned)
        return tuned

    def adapted(self, adapter: Adapter) -> Metered:
        return Metered(self._model.adapted(adapter), self._name, self._meter)

    def _charged(self, call: Callable[[Any], list[Any]], requests: Sequence[Any]) -> list[Any]:
        self._meter.check(self._name)
        results = call(requests)
        used = Usage()
        for result in results:
            if not isinstance(result, Failure):
                used = used + result.usage
        self._meter.charge(self._name, used)
        return results


class MeteredModels(Mapping[str, Model]):
    """Models by name, opened when first asked for, each behind the meter."""

    def __init__(self, names: Sequence[str], open_model: Callable[[str], Model], meter: Meter) -> None:
        self._names, self._open, self._meter = tuple(names), open_model, meter

    def __getitem__(self, name: str) -> Model:
        if name not in self._names:
            raise KeyError(name)
        return Metered(self._open(name), name, self._meter)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
