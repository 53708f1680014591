"""What frozen lower layers give, computed once: where only the last layers move, it is the same in every epoch.

The states that go into the first layer that moves are kept for each row as it comes by, in train and on hold; from
then on a pass begins there. Where all of them would not fit into a part of the free memory, none are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from ..adapters.replaced import stack_of
from ..lessons.lesson import Lesson
from ..memory import free_bytes
from ..moving import Moving, lowest
from ..rows import Row
from ..weights import Weights
from .recompute import forwards

ROOM = 0.25
"""Of the free memory: what states may take."""

Key = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Of a row: the tokens before its own, its own, and which token each of them follows."""


class Lower:
    """States before layer `first` of `stack`, by row. `rest`: the part of the layers that a known row goes through."""

    def __init__(self, stack: torch.nn.ModuleList, first: int, rows: Sequence[Row]) -> None:
        self.first = first
        self._missing = {_key(row) for row in rows}
        self.rest = (len(stack) - first) / len(stack)
        self._stack = stack
        self._known: dict[Key, torch.Tensor] = {}
        self._all_known = True

    def cost(self, tokens: int) -> int:
        """What so many tokens cost in the passes since the last call: a part of them where all were known."""
        known, self._all_known = self._all_known, True
        return round(tokens * self.rest) if known else tokens

    @contextmanager
    def under(self, rows: Sequence[Row], followed: bool) -> Iterator[None]:
        """A pass over these rows: it begins above where all are known, else they are known afterwards. One that is
        `followed` gives its keys and values to rows of a later pass, and runs whole until no row is missing."""
        keys = [_key(row) for row in rows]
        top = self._stack[self.first]
        if all(key in self._known for key in keys) and not (followed and self._missing):
            given = torch.cat([self._known[key] for key in keys])[None]
            new: dict[torch.nn.Module, Any] = dict.fromkeys(self._stack[: self.first], _passed_on)
            new[top] = partial(_begun, top.forward, given)
        else:
            self._all_known = False
            new = {top: partial(self._kept, top.forward, keys, [len(row.ids) for row in rows])}
        with forwards(new):
            yield

    def _kept(self, forward: Any, keys: Sequence[Key], lengths: Sequence[int], *args: Any, **kwargs: Any) -> Any:
        states = args[0] if args else kwargs["hidden_states"]
        with torch.inference_mode(False), torch.no_grad():  # what a look at hold found must serve a gradient too
            for key, own in zip(keys, torch.split(states[0], list(lengths)), strict=True):
                self._known[key] = own.clone()
        self._missing.difference_update(keys)
        return forward(*args, **kwargs)


def _key(row: Row) -> Key:
    return row.begin, tuple(row.ids), tuple(row.parents)


def _passed_on(hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return hidden_states


def _begun(forward: Any, given: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
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
    if needed > ROOM * free_bytes(weights.device):
        return None
    return Lower(stack_of(weights)[1], first, [lesson.row for lesson in lessons])
