"""As many demonstrations as the model's context and the share allow (Agarwal et al. 2024, arXiv 2404.11018).

Quality often goes on rising into the hundreds of demonstrations, most with many labels (Bertsch et al. 2024, arXiv
2405.00200). How long a context is no model says here, so the longest prompt is asked once: a question that fails gets
fewer demonstrations until it does not. A full prompt, one of half the length and another draw of each are compared on
what they do not show. All of it is read again for every block of questions: this is a dear road on a slow machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import ClassVar

from ..candidate import Candidate, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict import predict
from ..predict.prompt import plain_input
from ..task import Kind
from .choosing import FEWEST, choose, cost_of, tell
from .draws import draw, example_shot, labels_shown, length
from .zero_shot import asking

PART = 0.2
"""Of the share, for reading the longest prompt once: it is read a few times before all is chosen."""
SHORTER = 0.7
"""A prompt that was too long has so many of its demonstrations left at the next try."""


@dataclass(frozen=True)
class ManyShot:
    """Fills the context with balanced examples, as far as the model and the share allow."""

    most: int = 1000
    draws: int = 2

    name: ClassVar[str] = "many_shot"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if isinstance(bench.mine, Single) and isinstance(bench.mine.shots, tuple) and bench.mine.shots:
            return asking(one, bench, bench.mine.shots)  # chosen on an earlier rung
        if not bench.train:
            raise MethodError("There are no train examples to show.")
        plain = asking(one, bench)
        cost = cost_of(bench, plain, (*bench.hold, *bench.train))
        shot = mean(length(example_shot(one, example)) for example in bench.train)
        reads = 1 + cost.again * 2 * FEWEST  # at least, for two prompts to be compared
        room = bench.share.tokens * PART / reads - cost.fixed(plain)
        each = self._longest(one, bench, int(room / max(1e-9, cost.shot(shot))))
        bench.note("many_shot.per_label", each)
        sizes = dict.fromkeys((each, max(1, each // 2)))
        drawn = [self._drawn(one, bench, size, number) for number in range(self.draws) for size in sizes]
        choice = choose(bench, drawn, cost=cost)
        tell(bench, self.name, "prompts", choice)
        return choice.best

    def _longest(self, one: Single, bench: Bench, affordable: int) -> int:
        """How many examples a label fit, of so many affordable in all. Raises MethodError where not even one does."""
        labels = max(1, labels_shown(one, bench))
        each = min(self.most, len(bench.train)) // labels or 1
        each = max(1, min(each, affordable // labels))
        question = max((e.inputs for e in (*bench.hold, *bench.train)), key=lambda inputs: len(plain_input(inputs)))
        while True:
            prompt = self._drawn(one, bench, each, 0)
            (answer,) = predict(prompt, bench.models, [question])
            if answer.failure is None or answer.failure.kind != "too_long":
                return each
            if each == 1:
                raise MethodError(f"Not even one example a label fits into a prompt: {answer.failure.message}")
            each = max(1, int(each * SHORTER))

    def _drawn(self, one: Single, bench: Bench, each: int, number: int) -> Single:
        characters = sum(
            length(example_shot(one, example)) for example in bench.train
        )  # nothing is left out for length
        return asking(one, bench, draw(one, bench, f"many_shot {bench.seed} {number}", each, characters))
