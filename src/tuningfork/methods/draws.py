"""Demonstrations drawn from the train examples: balanced over the labels, in a random order, within a length.

One draw is a seeded choice: `each` examples of every label, shuffled. All together stay under `characters`; where texts
are long, shorter ones are preferred, and none is ever cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ..candidate import Shot, Single
from ..errors import MethodError
from ..method import Bench
from ..predict.prompt import shot_of
from ..task import Example

COUNTS = (2, 4, 1, 8)
"""Examples a label, the most promising first."""

Size = tuple[int, int | None]
"""Examples a label, and of how many labels at most (None: of all)."""


def sizes(start: Single, bench: Bench, most: int, texts: int) -> list[Size]:
    """How many to show: up to `most` in all, or one of each of twice as many labels; `texts` without labels."""
    if not start.labels:
        return [(texts, None)]
    labels = labels_shown(start, bench)
    return [(each, None) for each in COUNTS if each * labels <= most] or [(1, 2 * most)]


def draw(
    start: Single, bench: Bench, seed: str, each: int, characters: int, labels: int | None = None
) -> tuple[Shot, ...]:
    """A balanced draw: `each` of at most so many `labels` (None: of all that have examples). Without labels, `each` in
    all. Raises MethodError where there is nothing to show, or everything is too long."""
    random = Random(seed)
    groups: dict[str, list[Example]] = {label: [] for label in start.labels or ("",)}
    for example in random.sample(bench.train, len(bench.train)):
        groups.setdefault(example.answer if start.labels else "", []).append(example)
    taken = [label for label in random.sample(list(groups), len(groups)) if groups[label]][:labels]
    if not taken:
        raise MethodError("There are no train examples to show.")
    room = characters // (each * len(taken))
    chosen = [example for label in taken for example in _short(groups[label], each, room)]
    random.shuffle(chosen)
    return fitting([example_shot(start, example) for example in chosen], characters)


def labels_shown(start: Single, bench: Bench) -> int:
    """How many labels have train examples; 1 where there are no labels."""
    return len({example.answer for example in bench.train}) if start.labels else 1


def example_shot(start: Single, example: Example) -> Shot:
    """A train example as a demonstration: a label is said by its words."""
    words = dict(zip(start.labels, start.words, strict=True))
    return shot_of(example.inputs, words.get(example.answer, example.answer))


def length(shot: Shot) -> int:
    """Characters of a demonstration."""
    return sum(len(text) for _, text in shot.inputs) + len(shot.answer)


def unshown(start: Single, examples: Sequence[Example]) -> list[Example]:
    """The examples that do not stand in the prompt as fixed demonstrations: there, the answer would be read off."""
    shown = {shot.inputs for shot in start.shots} if isinstance(start.shots, tuple) else set()
    return [example for example in examples if shot_of(example.inputs, "").inputs not in shown]


def _short(examples: Sequence[Example], count: int, room: int) -> list[Example]:
    """The first `count` that fit into `room` characters each; where too few do, the shortest."""
    fitting = [e for e in examples if length(shot_of(e.inputs, e.answer)) <= room]
    if len(fitting) < count:
        fitting = sorted(examples, key=lambda e: length(shot_of(e.inputs, e.answer)))
    return fitting[:count]


def fitting(shots: Sequence[Shot], characters: int) -> tuple[Shot, ...]:
    """As many as stay under `characters` together, the shortest first, in their order."""
    kept: set[int] = set()
    used = 0
    for index in sorted(range(len(shots)), key=lambda i: length(shots[i])):
        if used + length(shots[index]) <= characters:
            kept.add(index)
            used += length(shots[index])
    if not kept:
        raise MethodError(f"Every example is longer than {characters} characters, too long to show one in a prompt.")
    return tuple(shot for index, shot in enumerate(shots) if index in kept)
