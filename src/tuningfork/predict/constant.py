"""Always the same answer, as a baseline gives it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..candidate import Constant, Prediction
from ..task import Inputs


def answerer(candidate: Constant) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How a Constant answers. Its nats are known only where no label has probability zero."""
    shares = dict(zip(candidate.labels, candidate.probabilities, strict=bool(candidate.probabilities)))
    nats = tuple(math.log(p) for p in shares.values()) if shares and min(shares.values()) > 0 else None
    answer = Prediction(candidate.answer, nats, shares.get(candidate.answer))
    return lambda block: [answer] * len(block)
