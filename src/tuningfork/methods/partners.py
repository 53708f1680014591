"""What the roads share that are made of others' candidates: who can be a part, what each says of hold, which together
do best, and the newest form of each.

Every candidate answers hold once; whatever is made of them is then worked out from these answers and asks no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..candidate import Candidate, Cascade, Constant, Function, Prediction, Vote
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Known
from ..model import Usage
from ..predict import predict
from ..predict.vote import together
from ..task import Example

BLOCK = 16
By = Literal["probability", "answer"]


@dataclass
class Heard:
    """A candidate with its predictions of the first examples of hold, their scores (higher is better), and what they
    took on the planned clock."""

    candidate: Candidate
    predictions: list[Prediction] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def cost_beside(self, dear: Heard) -> float:
        """What it costs as a share of what another one costs on the same examples: in money where that has a price,
        else in planned seconds, else in tokens, which say too little of what a small model saves."""
        own, other = self._costs(), dear._costs()
        return next((mine / its for mine, its in zip(own, other, strict=True) if its), 1.0)

    def _costs(self) -> tuple[float, float, float]:
        used = sum((p.usage for p in self.predictions), Usage())
        return used.usd, self.seconds, float(used.tokens_in + used.tokens_out)


def able(bench: Bench, most: int) -> list[Known]:
    """The best known candidates that ask a model, each once, best first."""
    found: list[Known] = []
    for known in bench.known:
        asks = not isinstance(known.candidate, Constant | Function)
        if asks and known.candidate not in [other.candidate for other in found]:
            found.append(known)
    return found[:most]


def heard(bench: Bench, candidates: Sequence[Candidate], most: int | None = None) -> list[Heard]:
    """What each says of hold (of the first `most`), block by block, as far as the share reaches: all of the same
    examples. Raises MethodError where that is none."""
    found = [Heard(candidate) for candidate in candidates]
    for begin in range(0, len(bench.hold[:most]), BLOCK):
        items = bench.hold[:most][begin : begin + BLOCK]
        try:
            said = [_asked(bench, candidate, items) for candidate in candidates]
        except BudgetSpent:
            break
        for one, (predictions, seconds) in zip(found, said, strict=True):
            one.predictions += predictions
            one.scores += bench.scores(items, predictions)
            one.seconds += seconds
    if not found or not found[0].predictions:
        why = "its share was spent before" if bench.hold else "there are none"
        raise MethodError(f"No hold examples could be asked to choose on: {why}.")
    return found


def _asked(bench: Bench, candidate: Candidate, items: Sequence[Example]) -> tuple[list[Prediction], float]:
    before = bench.spent()
    predictions = list(predict(candidate, bench.models, [example.inputs for example in items]))
    return predictions, bench.spent() - before


def voting(said: Sequence[Heard], labels: Sequence[str]) -> By:
    """How these can vote: by probability where all give that of every label, else by answer."""
    each = (p for one in said for p in one.predictions if p.failure is None)
    known = labels and all(p.nats is not None and len(p.nats) == len(labels) for p in each)
    return "probability" if known else "answer"


def forward(bench: Bench, said: Sequence[Heard], labels: Sequence[str], by: By, most: int) -> list[int]:
    """Who votes: the best one, then whoever helps most, up to `most`; of all on this way the best, and of equals the
    fewest (ensemble selection, Caruana et al. 2004). It does not end where a second one helps nothing: of two answers
    none is the most common."""
    items = bench.hold[: len(said[0].predictions)]

    def value(chosen: Sequence[int]) -> float:
        votes = zip(*(said[i].predictions for i in chosen), strict=True)
        scores = bench.scores(items, (together(vote, (1.0,) * len(chosen), labels, by) for vote in votes))
        return sum(scores) / len(scores)

    means = [sum(one.scores) / len(one.scores) for one in said]
    chosen = [max(range(len(said)), key=lambda i: (means[i], -i))]
    best, count = means[chosen[0]], 1
    while len(chosen) < min(most, len(said)):
        tries = {i: value([*chosen, i]) for i in range(len(said)) if i not in chosen}
        chosen.append(max(tries, key=lambda i: (tries[i], -i)))
        if tries[chosen[-1]] > best + 1e-9:
            best, count = tries[chosen[-1]], len(chosen)
    return chosen[:count]


def newest(candidate: Candidate, bench: Bench) -> Candidate:
    """The candidate as it is now that trials have been adapted again: its own newest form, or that of its parts."""
    for known in bench.known:
        if known.before == candidate:
            return known.candidate
    if isinstance(candidate, Vote | Cascade):
        return replace(candidate, parts=tuple(newest(part, bench) for part in candidate.parts))
    return candidate
