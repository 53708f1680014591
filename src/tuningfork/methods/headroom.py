"""Is there anything to gain by another prompt? A handful of quite different ones says it, before a long search.

The headroom test of arXiv 2604.14585: where none of them betters the answers by more than noise, searching on is
spending a budget on luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from ..candidate import Single
from ..method import Bench
from .choosing import Choice, choose

PART = 0.3
"""Of the share, for this test."""


def headroom(name: str, bench: Bench, start: Single, others: Sequence[Single]) -> tuple[Choice, bool]:
    """What the handful showed beside the start, and whether to go on. The reason not to is noted."""
    choice = choose(bench, [start, *others], PART, incumbent=True)
    top = bench.metric.range[1] if bench.metric.higher_is_better else -bench.metric.range[0]
    if not choice.asked:
        reason = "Its share is too small to ask two prompts about the same few examples."
    elif mean(choice.scores[0]) == top:
        reason = f"The start answers all of {len(choice.scores[0])} examples as well as can be."
    elif choice.best == start:
        reason = (
            f"No prompt of {len(choice.asked) - 1} was better than the start by more than noise on "
            f"{len(choice.scores[0])} examples, so there is little to gain by searching; the start was kept."
        )
    else:
        return choice, True
    bench.note(f"{name}.stopped", reason)
    return choice, False
