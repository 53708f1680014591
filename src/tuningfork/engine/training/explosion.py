"""Whether a training has blown up though its losses are still numbers.

A rate that is far too high throws the weights to where the answers are certain and wrong. The loss of the first batch
is that of the weights as they were before any step, and what knowing nothing costs is the logarithm of the choices:
the larger of the two is what a training begins with. It has blown up where its train loss stays far above that for a
while, or where what would come back is far above it on hold and answers no better than before. A loss on hold that
rises while the answers get better is no explosion: few examples make any model too sure of itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..lessons.lesson import Lesson

TIMES = 2.0
"""As many times the loss that it began with is far above it."""
LONG = 0.25
"""Of the steps, one after the other: what is longer than a bad stretch."""
FEWEST_STEPS = 5
SURE = 3.0
"""Standard errors that a loss on hold must lie above the one it began with."""
NO_LIKELIHOOD = 1e-38
"""A probability that fp32 can't hold is taken as this."""


@dataclass
class Explosion:
    """Watches the losses of a training of so many steps. `began` is the loss that it began with, in nats."""

    steps: int
    choices: int
    began: float | None = None
    above: int = 0

    def at_step(self, loss: float) -> bool:
        """Take in a step's loss; whether it has been far above the beginning for too long."""
        if self.began is None:
            self.began = max(loss, math.log(max(2, self.choices)))
        self.above = self.above + 1 if loss > TIMES * self.began else 0
        return self.above >= max(FEWEST_STEPS, math.ceil(LONG * self.steps))

    def at_end(self, watch: Sequence[Lesson], quality: torch.Tensor | None) -> bool:
        """Whether the state that would come back, of this `quality` (hold items,), is far worse than the beginning."""
        if self.began is None or quality is None or len(quality) < 2:
            return False
        several = torch.tensor([lesson.target is not None for lesson in watch[: len(quality)]])
        nats = torch.where(several, -quality.clamp_min(NO_LIKELIHOOD).log(), -quality)
        before = torch.where(several, math.exp(-self.began), -self.began)
        far = float(nats.mean()) > TIMES * self.began and float(nats.mean()) - self.began > SURE * _error(nats)
        return far and float((quality - before).mean()) <= _error(quality)


def _error(values: torch.Tensor) -> float:
    """The standard error of the mean."""
    return float(values.std()) / math.sqrt(len(values))
