"""Reasoning that the model wrote itself, shown as demonstrations where it led to the right answer (STaR, Zelikman et
al. 2022, arXiv 2203.14465; its first round, without training on them).

Nobody has to write the reasoning: of what the model writes for train examples, only what ends at the right answer is
kept. Two draws of it and none at all are compared on hold; then the probe of `reasoning` decides whether the road is
worth its cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Shot, Single, Steps
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Example, Kind
from .distil import told
from .draws import example_shot, length
from .reasoning import check_worth, fair, reasoned
from .steps import keeping
from .zero_shot import asking

Thought = tuple[Example, str]
"""An example, and the reasoning that reached its answer."""


@dataclass(frozen=True)
class ReasoningShots:
    """Shows the model its own reasoning where that reached the right answer."""

    shots: int = 4
    tries: int = 48
    draws: int = 2
    characters: int = 6000
    probe: bool = True
    items: int = 50
    max_tokens: int = 160

    name: ClassVar[str] = "reasoning_shots"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"generate"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        bare = reasoned(one, bench, self.max_tokens)
        if isinstance(bench.mine, Steps):  # chosen on an earlier rung
            return keeping(bare, bench.mine)
        sample = Random(f"reasoning_shots {bench.seed}").sample(bench.train, min(self.tries, len(bench.train)))
        thoughts = self._right(bare, bench, sample)
        drawn = [self._draw(one, bench, thoughts, number) for number in range(self.draws if bench.hold else 1)]
        made = [shown(one, bare, thoughts) for thoughts in drawn]
        best = bench.pick([*made, bare]) if bench.hold else made[0]
        if self.probe:
            used = {example.id for thoughts in drawn for example, _ in thoughts}
            rest = (*bench.hold, *(example for example in fair(one, bench) if example.id not in used))
            check_worth(bench, asking(one, bench, one.shots), best, rest[: self.items])
        return best

    def _right(self, bare: Steps, bench: Bench, sample: Sequence[Example]) -> list[Thought]:
        """Reasoning that got the best score there is. Raises MethodError where there is none."""
        said = [(e, p) for e, p in told(bare, bench, sample) if not p.failure]
        top = bench.metric.range[1] if bench.metric.higher_is_better else -bench.metric.range[0]
        scores = bench.scores([e for e, _ in said], [p for _, p in said])
        think = bare.parts[0].name
        found = [(e, str(p.trace[think])) for (e, p), score in zip(said, scores, strict=True) if score == top]
        if not found:
            raise MethodError(f"Reasoning led to the right answer on none of {len(said)} train examples.")
        return found

    def _draw(self, one: Single, bench: Bench, thoughts: Sequence[Thought], number: int) -> list[Thought]:
        """A few of them, answers in turn, within the room for demonstrations."""
        random = Random(f"reasoning_shots {bench.seed} {number}")
        seen: dict[str, int] = {}
        turns = []
        for example, text in random.sample(thoughts, len(thoughts)):
            answer = example.answer if one.labels else ""
            seen[answer] = seen.get(answer, 0) + 1
            turns.append((seen[answer], (example, text)))
        chosen: list[Thought] = []
        room = self.characters
        for _, (example, text) in sorted(turns, key=lambda turn: turn[0]):
            room -= length(example_shot(one, example)) + len(text)
            if room < 0 or len(chosen) == self.shots:
                break
            chosen.append((example, text))
        return chosen


def shown(one: Single, bare: Steps, thoughts: Sequence[Thought]) -> Steps:
    """The stages with these as demonstrations: to the first how to think, to the last how to answer after it."""
    think, answer = bare.parts
    asked = [(example_shot(one, example), text) for example, text in thoughts]
    first = tuple(Shot(shot.inputs, text) for shot, text in asked)
    last = tuple(Shot((*shot.inputs, (think.name, text)), shot.answer) for shot, text in asked)
    return Steps(
        tuple(
            replace(stage, candidate=replace(single(stage.candidate, stage.name), shots=shots))
            for stage, shots in ((think, first), (answer, last))
        )
    )
