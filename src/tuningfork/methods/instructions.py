"""The same question in other words: the layout of the prompt, chosen step by step from a bank (`wordings`).

How labels are named, how the input stands, a first line, how labels are spelt: one part after the other, each time the
other entries of the bank against what is best so far, on hold and train examples that are not shown. A wording takes
another's place only where it is better by more than the standard error of their difference: on a hundred items two
equal wordings lie five points apart by luck. Steps go on while the share lasts. The demonstrations of its start stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Single
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from .choosing import choose, tell
from .wordings import PLAIN, in_words_of, parts_for, sparing_read, worded
from .zero_shot import asking

PART = 0.4
"""Of what is left of the share, for each step: the first ones matter most."""


@dataclass(frozen=True)
class Instructions:
    """Asks in the layout, wording and label names that do best, from a bank; keeps demonstrations."""

    name: ClassVar[str] = "instructions"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        best, wording = asking(one, bench, one.shots), PLAIN
        if isinstance(bench.mine, Single) and bench.mine.prompt:
            return in_words_of(best, bench.mine)  # chosen on an earlier rung
        asks = sparing_read(bench)
        for part, entries in parts_for(bench.task).items():
            others = [replace(wording, **{part: entry}) for entry in entries if entry != getattr(wording, part)]
            prompts = [worded(best, bench, other) for other in others]
            choice = choose(asks, [best, *prompts], PART, incumbent=True)
            if not choice.asked:
                break  # the share is used up
            tell(bench, self.name, part, choice)
            if choice.best != best:
                best, wording = choice.best, others[prompts.index(choice.best)]
        bench.note("instructions.wording", str(wording))
        return best
