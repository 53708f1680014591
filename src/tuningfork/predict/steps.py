"""Several steps: what a stage answers is an input of the stages after it, as a column of its name.

What fails at one stage is not asked further. All that was said on the way stands in the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..candidate import Prediction, Steps
from ..task import Inputs

Ask = Callable[[Sequence[Inputs]], list[Prediction]]


def answerer(candidate: Steps, asks: Sequence[Ask]) -> Ask:
    """How `candidate` answers a block; `asks[i]` is how its part i does."""

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        seen = [dict(inputs) for inputs in block]
        found = [Prediction("") for _ in block]
        for stage, ask in zip(candidate.parts, asks, strict=True):
            waiting = [i for i, before in enumerate(found) if before.failure is None]
            replies = ask([seen[i] for i in waiting]) if waiting else []
            for i, reply in zip(waiting, replies, strict=True):
                seen[i][stage.name] = reply.answer
                found[i] = _after(found[i], reply, stage.name)
        return found

    return answer


def _after(before: Prediction, reply: Prediction, name: str) -> Prediction:
    """The newest reply, with what came before it."""
    return replace(
        reply,
        usage=before.usage + reply.usage,
        citations=tuple(dict.fromkeys((*before.citations, *reply.citations))),
        trace={**before.trace, **reply.trace, name: reply.answer},
    )
