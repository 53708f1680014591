"""Several answers are written with chance in them, and the most common one counts (Wang et al. 2022, arXiv 2203.11171).

It helps where a model reaches the right answer more often than any one wrong answer, as it does with sums and seldom
with labels. How much chance (the temperature) is chosen on hold; where no sampling is better than the start asked once,
that stays, because it costs a part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Single
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
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
        one = single(start, self.name)
        once = asking(one, bench, one.shots)
        if isinstance(bench.mine, Single):  # chosen on an earlier rung
            return replace(once, answer_by=bench.mine.answer_by, decoding=bench.mine.decoding)
        sampled = [
            replace(once, answer_by="generate", decoding=replace(once.decoding, temperature=heat, samples=self.samples))
            for heat in self.temperatures
        ]
        return bench.pick([once, *sampled]) if bench.hold else once
