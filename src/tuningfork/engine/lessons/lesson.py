"""One thing to learn as tokens, what its answer should be, and how far a model is from it.

Scores are log-probabilities or logits of an item's choices; of a text to write there is one, its log-probability. All
losses are in nats, fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional as F

from ...errors import MethodError
from ...model import TuneItem
from ..rows import Row


@dataclass(eq=False)
class Lesson:
    """A row to learn. `target` is the index of the right choice, None for a text; `shares` (one a choice) take its
    place where there are any; `branches` are the tokens of each choice, for models that write apart from what they
    read."""

    row: Row
    target: int | None
    weight: float = 1.0
    shares: tuple[float, ...] = ()
    exclusive: bool = True
    branches: tuple[tuple[int, ...], ...] = ()

    @property
    def tokens(self) -> int:
        """What a pass reads for it."""
        return len(self.row.ids) + sum(map(len, self.branches))


class Reader(Protocol):
    """How a kind of model reads lessons."""

    @property
    def shared_tokens(self) -> int:
        """Tokens that every pass reads once, whatever its lessons."""
        ...

    def lessons(self, items: Sequence[TuneItem]) -> list[Lesson]:
        """Items as tokens. Those that can't be read, or are too long and may not be cut, are left out."""
        ...

    def begin(self, learn: Sequence[Lesson], labels: int) -> None:
        """Get ready to be trained on these: called once, with the adapter on."""
        ...

    def parameters(self) -> list[torch.Tensor]:
        """What learns beside the adapter: a head's tensors."""
        ...

    def losses(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons,) losses, with gradients where they are on."""
        ...


def answer_of(item: TuneItem, several: bool, logits: bool = False) -> tuple[int | None, tuple[float, ...]]:
    """An item's target and shares. Raises MethodError where they don't fit its choices, or where choices that do not
    exclude each other would have to be told by their log-probabilities, which do."""
    if not item.exclusive and not logits:
        raise MethodError("Labels that do not exclude each other are learnt by an encoder with a head only.")
    if item.shares and len(item.shares) != len(item.choices):
        raise MethodError(f"An item has {len(item.shares)} shares for {len(item.choices)} choices.")
    if item.shares or not several:
        return None, item.shares
    if item.target not in item.choices:
        raise MethodError(f"An item's target {item.target!r} is none of its choices {list(item.choices)!r}.")
    return item.choices.index(item.target), ()


def loss_of(lesson: Lesson, scores: torch.Tensor, tokens: int) -> torch.Tensor:
    """The loss of one lesson: of choices that exclude each other after softmax, of others each by itself; of a text the
    mean over its `tokens`."""
    if lesson.shares:
        shares = torch.tensor(lesson.shares, device=scores.device)
        if lesson.exclusive:
            return F.cross_entropy(scores[None], shares[None])
        return F.binary_cross_entropy_with_logits(scores, shares)
    if lesson.target is None:
        return -scores[0] / tokens
    return F.cross_entropy(scores[None], torch.tensor([lesson.target], device=scores.device))
