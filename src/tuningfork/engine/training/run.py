"""What a training holds while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch

from ...model import CurvePoint, Recipe
from ..lessons.lesson import Reader
from ..moving import Moving
from ..weights import Weights
from .lower import Lower
from .recompute import recomputed


@dataclass
class Run:
    """What a training holds while it runs. `lower`: where what frozen layers give is kept; `recompute`: whether
    activations are computed again rather than kept."""

    weights: Weights
    recipe: Recipe
    moving: Moving
    reader: Reader
    micro_tokens: int
    continued: bool = False
    lower: Lower | None = None
    recompute: bool = False
    curve: list[CurvePoint] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def groups(self) -> list[dict[str, object]]:
        own: list[dict[str, object]] = [{"params": self.moving.parameters(), "lr": self.recipe.learning_rate}]
        if head := self.reader.parameters():
            own.append({"params": head, "lr": self.recipe.head_learning_rate})
        return own

    @contextmanager
    def aids(self) -> Iterator[None]:
        """What makes passes cheaper or smaller, on for the length of the block."""
        with ExitStack() as stack:
            if self.recompute:
                stack.enter_context(recomputed(self.weights))
            if self.lower:
                stack.enter_context(self.lower.on())
            yield

    def snapshot(self) -> list[torch.Tensor]:
        return [t.detach().clone() for t in self._tensors()]

    def restore(self, snapshot: Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for tensor, saved in zip(self._tensors(), snapshot, strict=True):
                tensor.copy_(saved)
        self.moving.stepped()

    def _tensors(self) -> list[torch.Tensor]:
        return [*self.moving.parameters(), *self.reader.parameters()]
