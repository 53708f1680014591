"""A handful of train examples shown in the prompt (Brown et al. 2020, arXiv 2005.14165).

Small models swing by tens of points with the examples drawn and their order (Lu et al. 2022, arXiv 2104.08786), so
several seeded draws are made and the one that does best on hold is kept. Draws are balanced over the labels:
`per_class` of each where `most` allows, else one of each, of at most twice `most` labels. All shots together stay
under `characters`, so that a context of 2,000 tokens holds them and the question; where texts are long, shorter ones
are preferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Nearest, Shot, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict.prompt import shot_of
from ..task import Example, Kind
from . import yes_no
from .zero_shot import asking


@dataclass(frozen=True)
class FewShot:
    """Shows a few examples in the prompt, balanced over the labels; the best of several draws."""

    per_class: int = 2
    most: int = 16
    texts: int = 8
    draws: int = 3
    characters: int = 6000

    name: ClassVar[str] = "few_shot"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if isinstance(bench.mine, Single) and bench.mine.shots and not isinstance(bench.mine.shots, Nearest):
            return asking(one, bench, bench.mine.shots)  # chosen on an earlier rung
        draws = self.draws if bench.hold else 1
        return bench.pick([asking(one, bench, self._draw(one, bench, draw)) for draw in range(draws)])

    def _draw(self, start: Single, bench: Bench, draw: int) -> tuple[Shot, ...]:
        random = Random(f"few_shot {bench.seed} {draw}")
        if not start.exclusive:
            return _fitting(yes_no.shots(start, bench.train, random, self.most), self.characters)
        groups: dict[str, list[Example]] = {label: [] for label in start.labels or ("",)}
        for example in random.sample(bench.train, len(bench.train)):
            groups.setdefault(example.answer if start.labels else "", []).append(example)
        labels = [label for label in random.sample(list(groups), len(groups)) if groups[label]][: 2 * self.most]
        if not labels:
            raise MethodError("There are no train examples to show.")
        each = max(1, min(self.per_class, self.most // len(labels))) if start.labels else self.texts
        room = self.characters // (each * len(labels))
        chosen = [example for label in labels for example in _short(groups[label], each, room)]
        random.shuffle(chosen)
        return _fitting([example_shot(start, example) for example in chosen], self.characters)


def example_shot(start: Single, example: Example) -> Shot:
    """A train example as a demonstration: a label is said by its words."""
    words = dict(zip(start.labels, start.words, strict=True))
    return shot_of(example.inputs, words.get(example.answer, example.answer))


def length(shot: Shot) -> int:
    """Characters of a demonstration."""
    return sum(len(text) for _, text in shot.inputs) + len(shot.answer)


def _short(examples: Sequence[Example], count: int, room: int) -> list[Example]:
    """The first `count` that fit into `room` characters each; where too few do, the shortest."""
    fitting = [e for e in examples if length(shot_of(e.inputs, e.answer)) <= room]
    if len(fitting) < count:
        fitting = sorted(examples, key=lambda e: length(shot_of(e.inputs, e.answer)))
    return fitting[:count]


def _fitting(shots: Sequence[Shot], characters: int) -> tuple[Shot, ...]:
    kept: list[Shot] = []
    for shot in sorted(shots, key=length):
        if sum(map(length, kept)) + length(shot) <= characters:
            kept.append(shot)
    if not kept:
        raise MethodError(f"Every example is longer than {characters} characters, too long to show one in a prompt.")
    return tuple(shot for shot in shots if shot in kept)
