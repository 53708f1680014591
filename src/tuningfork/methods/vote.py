"""Several candidates of this race together (ensemble selection from a library of models, Caruana et al. 2004).

Roads that err on different inputs mend each other's errors. Who votes is chosen on hold, which no part has learnt from;
where the best one alone does as well, there is nothing to gain and the method says so. In the final each part is taken
in its newest form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Vote, labels_of
from ..errors import MethodError
from ..method import Bench, Family, Need
from ..model import Capability
from ..task import Kind
from .partners import able, forward, heard, newest, voting


@dataclass(frozen=True)
class VoteOfKnown:
    """Lets the candidates of this race that do best together vote."""

    among: int = 6
    most: int = 4

    name: ClassVar[str] = "vote"
    family: ClassVar[Family] = "hybrid"
    needs: ClassVar[frozenset[Need]] = frozenset({"known"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if isinstance(bench.mine, Vote):
            return newest(bench.mine, bench)  # chosen on an earlier rung
        known = able(bench, self.among)
        if len(known) < 2:
            raise MethodError(f"A vote needs two candidates that ask a model, and this race has {len(known)} so far.")
        said = heard(bench, [one.candidate for one in known])
        labels = labels_of(start)
        by = voting(said, labels)
        chosen = forward(bench, said, labels, by, self.most)
        if len(chosen) == 1:
            raise MethodError(
                f"No vote with others was better than {known[chosen[0]].trial} alone on "
                f"{len(said[0].predictions)} hold examples."
            )
        return Vote(tuple(known[i].candidate for i in chosen), by)
