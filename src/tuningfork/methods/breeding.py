"""Genes of a prompt, and how new ones come of old ones: what `prompt_search` breeds with.

A prompt is a wording of the bank and a draw of demonstrations, so crossing and changing never make one that is not
balanced or asks for what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from random import Random
from statistics import mean

from ..method import Bench
from .choosing import Choice
from .draws import Size
from .wordings import EXPLICIT, PLAIN, Wording

PARENTS = 4


@dataclass(frozen=True)
class Genes:
    """A wording, and a draw of so many examples by number; no size: the demonstrations of the start."""

    wording: Wording = PLAIN
    size: Size | None = None
    number: int = 0


def first(bench: Bench, allowed: Sequence[Size]) -> list[Genes]:
    """The handful to begin with: draws of demonstrations and wordings, in turn."""
    drawn = [Genes(size=size) for size in allowed[:3]]
    wordings = [Genes(wording) for wording in EXPLICIT if bench.task.labels or wording.labels == PLAIN.labels]
    return [each for pair in zip_longest(drawn, wordings) for each in pair if each]


def parents_of(choice: Choice, genes: Sequence[Genes]) -> list[Genes]:
    """The best of a race, the champion first: who was asked most, then who scored best."""
    order = sorted(range(len(choice.asked)), key=lambda i: (-len(choice.scores[i]), -mean(choice.scores[i]), i))
    champion = choice.asked.index(choice.best)
    return [genes[i] for i in (champion, *(i for i in order if i != champion))][:PARENTS]


def children_of(
    random: Random,
    parents: Sequence[Genes],
    seen: set[Genes],
    allowed: Sequence[Size],
    parts: Mapping[str, Sequence[str]],
    count: int,
) -> list[Genes]:
    """New ones: each part of the wording and the draw from one of two parents, then one change."""
    found: dict[Genes, None] = {}
    for _ in range(20 * count):
        first, second = parents[0], random.choice(parents)
        mixed = {part: getattr(random.choice((first, second)).wording, part) for part in parts}
        shown = random.choice((first, second))
        child = Genes(replace(first.wording, **mixed), shown.size, shown.number)
        part = random.choice([*parts, *(["draw"] * len(parts) if allowed else [])])
        if part == "draw":
            child = replace(
                child, size=random.choice([shown.size or allowed[0], *allowed]), number=random.randrange(1000)
            )
        else:
            child = replace(child, wording=replace(child.wording, **{part: random.choice(parts[part])}))
        if child not in seen:
            found[child] = None
        if len(found) == count:
            break
    return list(found)
