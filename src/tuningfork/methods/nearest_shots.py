"""Demonstrations picked for each input: the train examples most like it, by an encoder (Liu et al. 2022, arXiv
2101.06804).

The pool is the train examples, embedded once; their vectors are part of the candidate. Picking is done by `predict`.
Where examples are long fewer are shown, and those that would not fit are left out of the pool: no text is ever cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from statistics import median
from typing import ClassVar

from ..candidate import Candidate, Nearest, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, EmbedRequest, Failure
from ..predict.prompt import plain_input
from ..predict.shots import nearest_of
from ..task import Kind
from .few_shot import example_shot, length
from .zero_shot import asking


@dataclass(frozen=True)
class NearestShots:
    """Shows each input the examples most like it, found by an encoder."""

    k: int = 4
    pool: int = 5000
    characters: int = 6000

    name: ClassVar[str] = "nearest_shots"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset({"embed"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if isinstance(bench.mine, Single) and isinstance(bench.mine.shots, Nearest):
            return asking(one, bench, bench.mine.shots)  # embedded on an earlier rung
        asked = asking(one, bench)
        return asking(one, bench, self._nearest(asked, bench))

    def _nearest(self, start: Single, bench: Bench) -> Nearest:
        encoder = bench.helper("embed")
        train = list(bench.train)
        if len(train) > self.pool:
            train = Random(f"nearest_shots {bench.seed}").sample(train, self.pool)
        shots = [example_shot(start, example) for example in train]
        k = max(1, min(self.k, int(self.characters / max(1, median(map(length, shots)))))) if shots else 1
        shots = [shot for shot in shots if length(shot) <= self.characters // k]
        replies = encoder.embed([EmbedRequest(plain_input(dict(shot.inputs))) for shot in shots])
        pairs = [(s, r.values) for s, r in zip(shots, replies, strict=True) if not isinstance(r, Failure)]
        if not pairs:
            raise MethodError(f"{encoder.id} could embed none of {len(train)} train examples, so none can be shown.")
        return nearest_of(encoder.id, [s for s, _ in pairs], [v for _, v in pairs], k)
