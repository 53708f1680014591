"""One demonstration of every label, or a single one where there are no labels.

The least that shows a model what an answer looks like (Brown et al. 2020, arXiv 2005.14165, count one in all; of labels
one each, because a single one makes a small model repeat its label). The best of several draws is kept, as in
`few_shot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Single
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from .few_shot import best_draw, drawn_prompts
from .zero_shot import asking


@dataclass(frozen=True)
class OneShot:
    """Shows one example of every label; the best of several draws."""

    draws: int = 6
    most_labels: int = 64
    characters: int = 6000

    name: ClassVar[str] = "one_shot"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if isinstance(bench.mine, Single) and isinstance(bench.mine.shots, tuple) and bench.mine.shots:
            return asking(one, bench, bench.mine.shots)  # chosen on an earlier rung
        draws = self.draws if bench.hold else 1
        drawn = drawn_prompts(one, bench, [(1, self.most_labels)], draws, self.characters, self.name)
        return best_draw(self.name, bench, drawn, orders=1)
