"""What everything costs, and models that refuse past their share.

The race keeps time on a *planned clock*: tokens divided by the rates that a short probe measured and the plan wrote
down. It runs the same on every repetition of a plan, whatever else the machine is doing; the real clock only stops a
race. A share is checked before each call and charged after it; calls are as small as `predict` makes them, so a share
is overrun by at most one chunk. Money is not overrun at all: of a call, only as many requests go out as what is left
pays for at their dearest.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BudgetSpent, ModelError, TrainingFailed
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
from ..price import Price


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
    it. Models with a price may cost `usd` together, which is never overrun: a request is refused that could."""

    rates: Mapping[str, Rates]
    planned_seconds: float
    real_seconds: float
    on_tuned: Callable[[Recipe, Tuned], None] | None = None
    usd: float = math.inf
    prices: Mapping[str, Price] = field(default_factory=dict)
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

    def affordable(self, model: str, requests: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
        """The requests, from where on, as many at a time as what is left pays for, whatever they turn out to cost.
        Charge each part before the next. Raises BudgetSpent before a request that what is left may not pay for."""
        price = self.prices.get(model)
        if price is None or math.isinf(self.usd):
            yield 0, requests
            return
        begin = 0
        while begin < len(requests):
            end, left = begin, self.usd - self.usage.usd
            while end < len(requests) and (most := price.most_usd(requests[end])) <= left:
                end, left = end + 1, left - most
            if end == begin:
                raise BudgetSpent(
                    f"Its share of {self.usd:.4f} USD has {max(left, 0.0):.4f} left, and the next request to {model}"
                    f" may cost {most:.4f}."
                )
            yield begin, requests[begin:end]
            begin = end

    def charge(self, model: str, usage: Usage) -> None:
        """Take a usage off the share."""
        with self._lock:
            self.usage = self.usage + usage
            self.spent_seconds += self.rates[model].seconds(usage)

    def left(self, model: str | None) -> Share:
        """What remains, as tokens of one model."""
        seconds = max(0.0, self.planned_seconds - self.spent_seconds)
        real = max(0.0, self.real_seconds - (time.perf_counter() - self.began))
        usd = None if math.isinf(self.usd) else max(0.0, self.usd - self.usage.usd)
        if model is None:
            return Share(0, 0, real, usd)
        rates = self.rates[model]
        return Share(int(seconds * rates.read), int(seconds * rates.train), real, usd)


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
        return self._charged(lambda part, begin: self._model.score(part), requests)

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        def ask(part: Sequence[GenerateRequest], begin: int) -> list[Answer | Failure]:
            show = None if on_text is None else lambda index, piece: on_text(begin + index, piece)
            return self._model.generate(part, show)

        return self._charged(ask, requests)

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        return self._charged(lambda part, begin: self._model.embed(part), requests)

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

    def _charged(self, call: Callable[[Any, int], list[Any]], requests: Sequence[Any]) -> list[Any]:
        self._meter.check(self._name)
        results: list[Any] = []
        for begin, part in self._meter.affordable(self._name, requests):
            try:
                found = call(part, begin)
            except ModelError as error:
                self._meter.charge(self._name, error.usage or Usage())
                raise
            self._meter.charge(self._name, sum((result.usage for result in found), Usage()))
            results += found
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
