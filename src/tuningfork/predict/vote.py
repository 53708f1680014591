"""Several are asked and one answer comes of it: the mean of their probabilities, or what most of them say.

One that fails has no vote; where all fail, the first one's failure is the answer. A vote by probability needs that
every part that answers gives log-probabilities of the same labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..candidate import Prediction, Vote, labels_of
from ..model import Failure, Usage
from ..task import Inputs
from .score import decided

Ask = Callable[[Sequence[Inputs]], list[Prediction]]


def answerer(candidate: Vote, asks: Sequence[Ask]) -> Ask:
    """How `candidate` answers a block; `asks[i]` is how its part i does."""
    weights = candidate.weights or (1.0,) * len(candidate.parts)
    labels = labels_of(candidate)

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        replies = [ask(block) for ask in asks]
        return [together(list(said), weights, labels, candidate.by) for said in zip(*replies, strict=True)]

    return answer


def together(said: Sequence[Prediction], weights: Sequence[float], labels: Sequence[str], by: str) -> Prediction:
    """The one prediction of several of the same input."""
    usage = sum((p.usage for p in said), Usage())
    votes = [(p, weight) for p, weight in zip(said, weights, strict=True) if p.failure is None]
    if not votes:
        return replace(said[0], usage=usage)
    if by == "answer":
        return _most(votes, usage)
    if any(p.nats is None or len(p.nats) != len(labels) for p, _ in votes):
        message = "A vote by probability needs the log-probability of every label, and a part gave none."
        return Prediction("", failure=Failure("no probabilities", message), usage=usage)
    cited = tuple(dict.fromkeys(source for p, _ in votes for source in p.citations))
    total = sum(weight for _, weight in votes)
    means = [sum(w * math.exp(p.nats[i]) for p, w in votes if p.nats) / total for i in range(len(labels))]
    return replace(decided(labels, [math.log(max(mean, 1e-300)) for mean in means], usage), citations=cited)


def _most(votes: Sequence[tuple[Prediction, float]], usage: Usage) -> Prediction:
    """The answer of the greatest weight; its confidence is its share of it. Ties go to the one that was said first."""
    counts: dict[str, float] = {}
    for prediction, weight in votes:
        counts[prediction.answer] = counts.get(prediction.answer, 0.0) + weight
    answer = max(counts, key=lambda text: counts[text])
    said = next(p for p, _ in votes if p.answer == answer)
    return replace(said, nats=None, confidence=counts[answer] / sum(counts.values()), usage=usage)
