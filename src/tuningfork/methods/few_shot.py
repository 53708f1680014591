"""A handful of train examples shown in the prompt (Brown et al. 2020, arXiv 2005.14165).

Small models swing by tens of points with the examples drawn, how many they are and their order (Lu et al. 2022, arXiv
2104.08786), so these are searched: several draws of 2, 4, 1 and 8 examples a label, balanced, as many as the share
allows; then other orders of the best draw. What does best on hold, and on the train examples that no draw shows, is
kept; how far the draws and the orders lay apart is noted. All shots together stay under `characters`, so that a context
of 2,000 tokens holds them and the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Single
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from . import yes_no
from .choosing import choose, tell
from .draws import Size, draw, fitting, labels_shown, sizes
from .zero_shot import asking

FOR_DRAWS, FOR_ORDERS = 0.5, 0.4
"""Of what is left of the share, the parts for choosing a draw and then its order; the rest is for others."""


@dataclass(frozen=True)
class FewShot:
    """Shows a few examples in the prompt, balanced over the labels; their number, draw and order are searched.

    `per_class` fixes how many of each label (0: searched). Never more than `most` in all; where there are more labels,
    one of each of twice as many. `texts`: how many where there are no labels. Without `train_too` hold alone chooses.
    """

    per_class: int = 0
    most: int = 32
    texts: int = 8
    draws: int = 3
    orders: int = 2
    characters: int = 6000
    train_too: bool = True

    name: ClassVar[str] = "few_shot"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if isinstance(bench.mine, Single) and isinstance(bench.mine.shots, tuple) and bench.mine.shots:
            return asking(one, bench, bench.mine.shots)  # chosen on an earlier rung
        if not one.exclusive:
            return bench.pick(self._of_each_label(one, bench))
        drawn = drawn_prompts(one, bench, self._sizes(one, bench), self.draws if bench.hold else 1, self.characters)
        if not self.train_too:
            return bench.pick(drawn)
        return best_draw(self.name, bench, drawn, self.orders)

    def _of_each_label(self, one: Single, bench: Bench) -> list[Single]:
        """Prompts that show a yes and a no of the labels in turn."""
        draws = range(self.draws if bench.hold else 1)
        shown = [yes_no.shots(one, bench.train, Random(f"few_shot {bench.seed} {n}"), self.most) for n in draws]
        return [asking(one, bench, fitting(shots, self.characters)) for shots in shown]

    def _sizes(self, one: Single, bench: Bench) -> list[Size]:
        if not self.per_class or not one.labels:
            return sizes(one, bench, self.most, self.texts)
        return [(max(1, min(self.per_class, self.most // max(1, labels_shown(one, bench)))), 2 * self.most)]


def drawn_prompts(
    one: Single, bench: Bench, sizes: Sequence[Size], draws: int, characters: int, name: str = "few_shot"
) -> list[Single]:
    """A prompt for every draw of every size, the first draw of each size first."""
    drawn = [
        asking(one, bench, draw(one, bench, f"{name} {bench.seed} {number}", each, characters, labels))
        for number in range(draws)
        for each, labels in sizes
    ]
    return list({prompt.shots: prompt for prompt in drawn}.values())


def best_draw(name: str, bench: Bench, drawn: Sequence[Single], orders: int) -> Single:
    """The best of these prompts, then of as many `orders` of its demonstrations; what it showed is noted."""
    choice = choose(bench, drawn, FOR_DRAWS)
    ordered = choose(bench, [choice.best, *_reordered(choice.best, bench, orders - 1)], FOR_ORDERS)
    tell(bench, name, "orders", ordered)
    tell(bench, name, "draws", choice)
    return ordered.best


def _reordered(prompt: Single, bench: Bench, count: int) -> list[Single]:
    shots = prompt.shots
    assert isinstance(shots, tuple)
    orders = [tuple(Random(f"order {bench.seed} {number}").sample(shots, len(shots))) for number in range(count)]
    return [replace(prompt, shots=order) for order in dict.fromkeys(orders) if order != shots]
