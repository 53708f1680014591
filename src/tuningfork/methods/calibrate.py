"""Take off what a model says anyway: batch calibration (Zhou et al., ICLR 2024, arXiv 2309.17249).

A prompted model prefers some labels whatever the text. Its mean log-probability of each label over train inputs is that
preference; it is taken off every answer's log-probabilities from then on. Labels of these inputs are not looked at. The
mean is fitted once and frozen in the candidate, never taken over the batch at hand, so an answer does not depend on its
neighbours. The paper takes the log of the mean probability; the mean of the logs does not saturate where a small model
is sure of one label for nearly every text. It assumes that labels are about equally common.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from ..candidate import Calibration, Candidate, Single
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict.run import adapted
from ..predict.score import answerer
from ..task import Example, Kind
from . import yes_no
from .few_shot import example_shot

CHUNK = 50


@dataclass(frozen=True)
class Calibrate:
    """Takes off each label's mean log-probability over train inputs (batch calibration, frozen)."""

    inputs: int = 100

    name: ClassVar[str] = "calibrate"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"score"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = replace(single(start, self.name), calibration=None)
        if one.answer_by != "score":
            raise MethodError(f"calibrate needs the log-probability of every label; this answers by {one.answer_by}.")
        if not one.exclusive:
            return yes_no.matched(one, bench, self.inputs)
        others = unshown(one, bench.train)
        sample = Random(f"calibrate {bench.seed}").sample(others, min(self.inputs, len(others)))
        answer = answerer(one, adapted(one, bench.models), bench.models, others_only=True)
        rows: list[tuple[float, ...]] = []
        for begin in range(0, len(sample), CHUNK):
            try:
                answers = answer([example.inputs for example in sample[begin : begin + CHUNK]])
            except BudgetSpent:
                if not rows:
                    raise
                break  # the mean of what was read will do
            rows += [p.nats for p in answers if p.nats]
        if not rows:
            raise MethodError(f"None of {len(sample)} train inputs outside the prompt could be scored.")
        means = tuple(sum(column) / len(rows) for column in zip(*rows, strict=True))
        return replace(one, calibration=Calibration(means))


def unshown(start: Single, examples: tuple[Example, ...]) -> list[Example]:
    """The examples that do not stand in the prompt as fixed demonstrations: there, the answer would be read off."""
    shown = set(start.shots) if isinstance(start.shots, tuple) else set()
    return [example for example in examples if example_shot(start, example) not in shown]
