"""The model thinks in words before it answers (chain of thought, Wei et al. 2022, arXiv 2201.11903).

A first stage writes the reasoning, a second one answers with it in sight: labels are still scored, never read off a
text. Reasoning helps with sums and logic and hardly elsewhere (Sprague et al. 2025, arXiv 2409.12183), at several times
the cost; so a probe on a few examples decides whether the road is worth going, and where it is not the method gives the
measured reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from ..candidate import Candidate, Decoding, Nearest, Prediction, Single, Steps
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict import predict
from ..task import Example, Kind
from .draws import unshown
from .steps import Ask, chained, free, said_first, shown_too
from .zero_shot import asking

BLOCK = 10
THINK = "Think about it step by step, in a few sentences, and say what follows."


@dataclass(frozen=True)
class Reasoning:
    """Thinks step by step in words, then answers; only where a probe shows a gain."""

    probe: bool = True
    items: int = 50
    max_tokens: int = 160

    name: ClassVar[str] = "reasoning"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"generate"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        made = reasoned(one, bench, self.max_tokens)
        if self.probe and bench.mine is None:
            check_worth(bench, asking(one, bench, one.shots), made, (*bench.hold, *fair(one, bench))[: self.items])
        return made


def reasoned(one: Single, bench: Bench, max_tokens: int) -> Steps:
    """The start, answering after it has thought."""
    name = free("reasoning", bench.task)
    think = Ask(name, said_first(bench.task, THINK), Decoding(max_tokens=max_tokens))
    return chained(one, bench, [think, Ask("answer", shown_too(one, bench, name, "Reasoning"), Decoding())])


def fair(one: Single, bench: Bench) -> list[Example]:
    """The train examples that a prompt does not show: off those it shows, the answer is read."""
    return [] if isinstance(one.shots, Nearest) else unshown(one, bench.train)


def check_worth(bench: Bench, plain: Single, made: Candidate, examples: Sequence[Example]) -> None:
    """Raises MethodError, with what was measured, where reasoning gains nothing on these, as far as the share goes."""
    said: tuple[list[Prediction], list[Prediction]] = ([], [])
    for begin in range(0, len(examples), BLOCK):
        inputs = [example.inputs for example in examples[begin : begin + BLOCK]]
        try:
            both = [list(predict(candidate, bench.models, inputs)) for candidate in (plain, made)]
        except BudgetSpent:
            break
        for all_, new in zip(said, both, strict=True):
            all_.extend(new)
    items = examples[: len(said[1])]
    if not items:
        raise MethodError(
            "There was nothing to see on whether reasoning is worth its cost: no examples, or no share left."
        )
    without, with_ = (bench.scores(items, predictions) for predictions in said)
    span = bench.metric.range[1] - bench.metric.range[0]
    gain = (sum(with_) - sum(without)) / len(items)
    points = 100 * gain / (span if isfinite(span) else 1.0)
    times = _tokens(said[1]) / max(1, _tokens(said[0]))
    if gain <= 0:
        raise MethodError(
            f"Reasoning gained {points:.1f} points on {len(items)} items at {times:.1f} times the tokens, so it is not"
            " worth its cost. `probe=false` races it all the same."
        )


def _tokens(predictions: Sequence[Prediction]) -> int:
    return sum(p.usage.tokens_in + p.usage.tokens_out for p in predictions)
