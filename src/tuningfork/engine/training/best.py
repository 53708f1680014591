"""Which state of a training comes back.

Selection looks at the mean probability of the right choice, not at its log: on few examples the log-loss turns up
long before decisions get worse. An earlier state wins over the last one only where hold shows it to be better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .run import Run


@dataclass
class Best:
    """The state to give back: the latest that is not shown worse on hold than the best look.

    A handful of hold items can't tell two good states apart, and the last state of a rate that falls to zero is rarely
    bad; so an earlier one wins only where it is better by more than one standard error of the paired difference.
    `quality` (hold items,) is that of the state, `top` that of the best look.
    """

    state: list[torch.Tensor]
    top: torch.Tensor | None = None
    quality: torch.Tensor | None = None
    worse: int = 0

    def see(self, run: Run, quality: torch.Tensor) -> None:
        """Take in a look: `quality` (hold items,) of the state as it is now."""
        if self.top is not None and _shown_better(self.top, quality):
            self.worse += 1
            return
        self.state, self.quality, self.worse = run.snapshot(), quality, 0
        if self.top is None or not len(quality) or quality.mean() > self.top.mean():
            self.top = quality


def _shown_better(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether a is better than b on the same items, by more than one standard error. A mere handful shows nothing."""
    if len(a) < 2:
        return False
    gaps = a - b
    return float(gaps.mean()) > float(gaps.std()) / math.sqrt(len(gaps))
