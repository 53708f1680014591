"""Several answers are written with chance in them, and the most common one counts (Wang et al. 2022, arXiv 2203.11171).

It helps where a model reaches the right answer more often than any one wrong answer, as it does with sums and seldom
with labels. How much chance (the temperature) is chosen on hold; where no sampling is better than the start asked once,
that stays, because it costs a part. After `reasoning` every sample reasons anew, and the answers vote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Single, Steps, Vote, parts_of
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from .partners import By
from .zero_shot import asking


@dataclass(frozen=True)
class SelfConsistency:
    """Writes several answers with chance in them and takes the most common one."""

    samples: int = 5
    temperatures: tuple[float, ...] = (0.3, 0.7, 1.0)

    name: ClassVar[str] = "self_consistency"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"generate"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        once = start if isinstance(start, Steps) else _asked(start, bench)
        if bench.mine is not None:  # chosen on an earlier rung
            heat = _heat_of(bench.mine)
            return self._sampled(once, heat) if heat else once
        sampled = [self._sampled(once, heat) for heat in self.temperatures]
        return bench.pick([once, *sampled]) if bench.hold else once

    def _sampled(self, once: Single | Steps, heat: float) -> Candidate:
        """The start, written several times at this temperature. Steps are all gone through again for each sample."""
        if isinstance(once, Steps):
            scored = once.parts[-1].candidate
            by: By = "probability" if isinstance(scored, Single) and scored.answer_by == "score" else "answer"
            return Vote(tuple(_heated(once, heat, number) for number in range(self.samples)), by)
        decoding = replace(once.decoding, temperature=heat, samples=self.samples)
        return replace(once, answer_by="generate", decoding=decoding)


def _asked(start: Candidate, bench: Bench) -> Single:
    one = single(start, SelfConsistency.name)
    return asking(one, bench, one.shots)


def _heated(once: Steps, heat: float, number: int) -> Steps:
    """The steps with chance in all that is written, each number with chances of its own."""
    parts = []
    for stage in once.parts:
        one = single(stage.candidate, SelfConsistency.name)
        if one.answer_by == "generate":
            one = replace(one, decoding=replace(one.decoding, temperature=heat, first_sample=number))
        parts.append(replace(stage, candidate=one))
    return Steps(tuple(parts))


def _heat_of(mine: Candidate) -> float:
    """The temperature that was chosen; 0 where the start asked once was."""
    if isinstance(mine, Single):
        return mine.decoding.temperature if mine.decoding.samples > 1 else 0.0
    if not isinstance(mine, Vote):
        return 0.0
    written = (part for part in parts_of(mine) if isinstance(part, Single) and part.answer_by == "generate")
    return next((part.decoding.temperature for part in written), 0.0)
