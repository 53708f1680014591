"""Demonstrations picked for each input: the train examples most like it (Liu et al. 2022, arXiv 2101.06804).

Likeness is an encoder's cosine, words (BM25), or both orders joined; `diversity` keeps a prompt from showing the same
thing four times (Ye et al. 2023, arXiv 2211.13892). Which of these, and how many are shown, is chosen on hold; where
that is small a part of train asks too, and is no demonstration meanwhile. The pool is the train examples, embedded
once; its vectors are part of the candidate, and without an encoder in the race words do alone. Where examples are long
fewer are shown, and those that would not fit are left out of the pool: no text is ever cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import median
from typing import ClassVar

from ..candidate import Candidate, FindBy, Nearest, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from .choosing import choose, tell
from .draws import example_shot, length
from .pool import Pool, Way, embedded
from .zero_shot import asking

QUESTIONS = 60
"""Examples to choose on; where hold has fewer, up to a third of train asks too."""
BY: tuple[FindBy, ...] = ("embedding", "both", "bm25")
"""The most promising first."""
USUAL = 4
"""Demonstrations where nothing is said; more and fewer are tried."""
DIVERSE = 0.3
"""How diverse, where that is tried."""


@dataclass(frozen=True)
class NearestShots:
    """Shows each input the examples most like it, by an encoder, by words or by both.

    `by` auto, `k` 0 and no `diversity` are chosen on hold.
    """

    by: str = "auto"
    k: int = 0
    diversity: float | None = None
    pool: int = 5000
    characters: int = 6000

    name: ClassVar[str] = "nearest_shots"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    @property
    def uses(self) -> frozenset[Capability]:
        """An encoder only where one was asked for: words find examples too."""
        return frozenset({"embed"}) if self.by in ("embedding", "both") else frozenset()

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if self.by not in ("auto", *BY):
            raise MethodError(f"nearest_shots can't find examples by {self.by!r}: say auto, {', '.join(BY)}.")
        pool = self._pool(one, bench)
        if isinstance(bench.mine, Single) and isinstance(bench.mine.shots, Nearest):
            way = bench.mine.shots  # chosen on an earlier rung; there may be more to show now
            return asking(one, bench, pool.nearest((way.by, way.k, way.diversity)))
        ways = self._ways(pool)
        chosen = _chosen(one, bench, pool, ways) if len(ways) > 1 else ways[0]
        bench.note("nearest_shots.way", f"by {chosen[0]}, {chosen[1]} shown, diversity {chosen[2]}")
        return asking(one, bench, pool.nearest(chosen))

    def _pool(self, one: Single, bench: Bench) -> Pool:
        """The train examples that fit, embedded by the race's encoder unless words are enough."""
        train = list(bench.train)
        if len(train) > self.pool:
            train = Random(f"nearest_shots {bench.seed}").sample(train, self.pool)
        lengths = [length(example_shot(one, example)) for example in train]
        shown = max(1, min(self.k or USUAL, self._most(lengths)))
        fitting = [e for e, size in zip(train, lengths, strict=True) if size <= self.characters // shown]
        if not fitting:
            raise MethodError(f"None of {len(train)} train examples is short enough to be shown.")
        shots = tuple(example_shot(one, example) for example in fitting)
        encoders = [name for name, can in bench.capabilities.items() if "embed" in can and "score" not in can]
        words = self.by == "bm25" or (self.by == "auto" and not encoders)
        return Pool("", tuple(fitting), shots) if words else embedded(bench.helper("embed"), fitting, shots)

    def _most(self, lengths: Sequence[int]) -> int:
        """How many demonstrations of the usual length there is room for."""
        return max(1, int(self.characters / max(1, median(lengths)))) if lengths else 1

    def _ways(self, pool: Pool) -> list[Way]:
        """What to try, the most promising first. All that was set stays as it is."""
        asked: tuple[FindBy, ...] = BY if self.by == "auto" else tuple(by for by in BY if by == self.by)
        found = [by for by in asked if by == "bm25" or pool.vectors]
        most = self._most([length(shot) for shot in pool.shots])
        ks = [min(k, most) for k in ((self.k,) if self.k else (USUAL, 2 * USUAL, USUAL // 2))]
        spreads = (0.0, DIVERSE) if self.diversity is None else (self.diversity,)
        ways = [(by, ks[0], spreads[0]) for by in found[:2]]
        ways += [(found[0], ks[0], each) for each in spreads[1:]] + [(found[0], k, spreads[0]) for k in ks[1:]]
        return list(dict.fromkeys([*ways, *((by, ks[0], spreads[0]) for by in found[2:])]))


def _chosen(one: Single, bench: Bench, pool: Pool, ways: Sequence[Way]) -> Way:
    """The way that does best on hold and on a part of the pool, which is no demonstration meanwhile."""
    count = min(max(0, QUESTIONS - len(bench.hold)), len(pool.shots) // 3)
    asks = frozenset(Random(f"nearest_shots {bench.seed} asks").sample(range(len(pool.shots)), count))
    questions = replace(bench, train=(), hold=(*bench.hold, *(pool.examples[i] for i in sorted(asks))))
    prompts = [asking(one, bench, pool.nearest(way, without=asks)) for way in ways]
    choice = choose(questions, prompts)
    tell(bench, "nearest_shots", "ways", choice)
    return ways[prompts.index(choice.best)]
