"""The cheap one answers when it is sure and passes the rest up.

Sure is a confidence of at least the part's threshold. One that fails, or says no confidence, is not sure. The last one
answers whatever comes to it; what the others cost before it is part of the cost of its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..candidate import Cascade, Prediction
from ..task import Inputs

Ask = Callable[[Sequence[Inputs]], list[Prediction]]


def answerer(candidate: Cascade, asks: Sequence[Ask]) -> Ask:
    """How `candidate` answers a block; `asks[i]` is how its part i does. The trace says which part `answered`."""
    thresholds = (*candidate.thresholds, float("-inf"))

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        found = [Prediction("") for _ in block]
        waiting = list(range(len(block)))
        for part, (ask, threshold) in enumerate(zip(asks, thresholds, strict=True)):
            replies = ask([block[i] for i in waiting]) if waiting else []
            for i, reply in zip(waiting, replies, strict=True):
                found[i] = replace(reply, usage=found[i].usage + reply.usage, trace={**reply.trace, "answered": part})
            last = part == len(asks) - 1
            waiting = [] if last else [i for i in waiting if not sure(found[i], threshold)]
        return found

    return answer


def sure(prediction: Prediction, threshold: float) -> bool:
    """Whether a part keeps its answer, rather than passing the input up."""
    confident = prediction.confidence is not None and prediction.confidence >= threshold
    return confident and prediction.failure is None and not prediction.abstained
