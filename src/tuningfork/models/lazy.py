"""A model that opens when it is first asked something: for those who mostly only want to know what it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from ..model import (
    Adapter,
    Answer,
    Capability,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    OpenModel,
    Recipe,
    ScoreRequest,
    Scores,
    Tuned,
    TuneItem,
    Vector,
)


class LazyModel:
    """The model of that name, which can what `capabilities` says; `open_it` opens it."""

    def __init__(self, name: str, capabilities: frozenset[Capability], open_it: OpenModel) -> None:
        self.id, self.capabilities, self._open = name, capabilities, open_it

    @cached_property
    def _model(self) -> Model:
        return self._open(self.id)

    @property
    def identity(self) -> str:
        return self._model.identity

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        return self._model.score(requests)

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        return self._model.generate(requests, on_text)

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        return self._model.embed(requests)

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned:
        return self._model.tune(recipe, items, hold, start)

    def adapted(self, adapter: Adapter) -> Model:
        return self._model.adapted(adapter)


class LazyModels(Mapping[str, Model]):
    """Models by name, none of them opened before it is asked."""

    def __init__(self, capabilities: Mapping[str, frozenset[Capability]], open_it: OpenModel) -> None:
        self._models = {name: LazyModel(name, can, open_it) for name, can in capabilities.items()}

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)
