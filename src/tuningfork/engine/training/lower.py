"""What frozen lower layers give, computed once: where only the last layers move, it is the same in every epoch.

Before the first step all rows, of train and of hold, go through the lower layers in one order, and the states that go
into the first layer that moves are kept; from then on a pass begins there. So a training that was killed and goes on
has the same states to the bit. Where all of them would not fit into a part of the free memory, none are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from .. import rows as rows_
from ..adapters.replaced import stack_of
from ..lessons.lesson import Lesson
from ..memory import free_bytes
from ..moving import Moving, lowest
from ..rows import Row
from ..weights import Weights
from .recompute import forwards

ROOM = 0.25
"""Of the free memory: what states may take."""
READ_COST = 1 / 3
"""A pass forward, in tokens trained: about a third of forward and backward."""

Key = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Of a row: the tokens before its own, its own, and which token each of them follows."""


class Lower:
    """States before layer `first` of the stack, by row. `rest`: the part of the layers that a pass goes through."""

    def __init__(self, weights: Weights, first: int) -> None:
        self.first = first
        self._weights = weights
        self._stack = stack_of(weights)[1]
        self.rest = (len(self._stack) - first) / len(self._stack)
        self._known: dict[Key, torch.Tensor] = {}

    @torch.no_grad()
    def fill(self, lessons: Sequence[Lesson]) -> int:
        """Read all rows through the lower layers; what that cost, in tokens trained."""
        rows = list({_key(lesson.row): lesson.row for lesson in lessons}.values())
        beginnings = rows_.Beginnings(self._weights)
        with self._worn(self._kept):
            for _ in rows_.in_passes(self._weights, rows_.by_length(rows), partial(self._read, beginnings)):
                pass
        tokens = sum(len(ids) for _, ids, _ in self._known)
        return round(tokens * READ_COST * (1 - self.rest))

    def _read(self, beginnings: rows_.Beginnings, batch: Sequence[Row]) -> None:
        rows_.forward(self._weights, batch, beginnings.before(batch))

    @contextmanager
    def on(self) -> Iterator[None]:
        """Passes begin at the first layer that moves, for the length of the block."""
        with self._worn(self._given):
            yield

    @contextmanager
    def _worn(self, under: Callable[[Sequence[Row]], Any]) -> Iterator[None]:
        self._weights.lower = under
        try:
            yield
        finally:
            self._weights.lower = None

    @contextmanager
    def _kept(self, rows: Sequence[Row]) -> Iterator[None]:
        """A pass that ends where the first layer that moves begins."""
        new: dict[torch.nn.Module, Any] = dict.fromkeys(self._stack[self.first :], _passed_on)
        new[self._stack[self.first]] = partial(self._keep, rows)
        with forwards(new):
            yield

    def _keep(self, rows: Sequence[Row], hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        for row, own in zip(rows, torch.split(hidden_states[0], [len(row.ids) for row in rows]), strict=True):
            self._known[_key(row)] = own.clone()
        return hidden_states

    @contextmanager
    def _given(self, rows: Sequence[Row]) -> Iterator[None]:
        """A pass that begins there."""
        given = torch.cat([self._known[_key(row)] for row in rows])[None]
        top = self._stack[self.first]
        new: dict[torch.nn.Module, Any] = dict.fromkeys(self._stack[: self.first], _passed_on)
        new[top] = partial(_begun, top.forward, given)
        with forwards(new):
            yield


def _key(row: Row) -> Key:
    return row.begin, tuple(row.ids), tuple(row.parents)


def _passed_on(hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return hidden_states


def _begun(forward: Callable[..., Any], given: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    if args:
        return forward(given, *args[1:], **kwargs)
    return forward(**{**kwargs, "hidden_states": given})


def lower(weights: Weights, moving: Moving, lessons: Sequence[Lesson], shared_tokens: int) -> Lower | None:
    """Where states are kept: nowhere if layers from the first on move, or if they would not fit."""
    first = lowest(moving)
    if not first or not weights.shares or weights.seq2seq:
        return None
    tokens = sum(lesson.tokens for lesson in lessons) + shared_tokens
    needed = tokens * weights.net.config.get_text_config().hidden_size * weights.dtype.itemsize
    return Lower(weights, first) if needed <= ROOM * free_bytes(weights.device) else None
