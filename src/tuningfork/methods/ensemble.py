"""A vote over several ways of asking the same model: wordings of the prompt and draws of demonstrations.

A prompted model's answer hangs on wording and on which examples are shown (Sclar et al. 2024, arXiv 2310.11324); the
mean over a few ways hangs on neither as much (Voronov et al. 2024, arXiv 2401.06766). Each way answers hold once, and
those that do best together vote, by mean probability where labels are scored. Where one way alone is as good, it is
kept alone: it costs less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Single, Template, Vote
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind, Message, plain_text
from .few_shot import FewShot
from .partners import forward, heard, voting
from .zero_shot import asking


@dataclass(frozen=True)
class Ensemble:
    """Lets several wordings and draws of demonstrations of one prompt vote."""

    draws: int = 3
    most: int = 3

    name: ClassVar[str] = "ensemble"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if bench.mine is not None:
            return _again(one, bench, bench.mine)  # chosen on an earlier rung
        ways = self._ways(one, bench)
        try:
            said = heard(bench, ways)
        except MethodError as error:  # nothing to choose by: the start stays, as in `bench.pick`
            bench.note("ensemble.stopped", str(error))
            return ways[0]
        by = voting(said, one.labels)
        chosen = forward(bench, said, one.labels, by, self.most)
        return ways[chosen[0]] if len(chosen) == 1 else Vote(tuple(ways[i] for i in chosen), by)

    def _ways(self, one: Single, bench: Bench) -> list[Single]:
        """The start as it is, its other wordings, and draws of demonstrations under each wording in turn."""
        first = asking(one, bench, one.shots)
        assert first.prompt is not None
        worded = [replace(one, prompt=prompt) for prompt in wordings(first.prompt)]
        ways = [asking(way, bench, one.shots) for way in worded]
        try:
            shown = [_draw(one, bench, number) for number in range(self.draws)]
        except MethodError:  # nothing to show, or too long: wordings alone
            shown = []
        return ways + [asking(worded[i % len(worded)], bench, drawn.shots) for i, drawn in enumerate(shown)]


def _draw(one: Single, bench: Bench, number: int) -> Single:
    """The start with a draw of demonstrations, which without a hold nobody chooses."""
    drawn = replace(bench, seed=100 * bench.seed + number, hold=())
    return single(FewShot(draws=1)(one, drawn), Ensemble.name)


def wordings(prompt: Template) -> list[Template]:
    """A prompt in three forms that say the same: as it is; all in one user turn; the input first, then what is asked.
    Without a system message there is only the first."""
    *leading, turn = prompt.messages
    if not leading or any(message.role != "system" for message in leading):
        return [prompt]
    said, asked = "\n".join(plain_text(message.content) for message in leading), plain_text(turn.content)
    orders = (f"{said}\n\n{asked}", f"{asked}\n\n{said}")
    return [prompt, *(Template((Message("user", text),)) for text in orders)]


def _again(one: Single, bench: Bench, mine: Candidate) -> Candidate:
    """The ways that were chosen, with what the start brings now."""
    if isinstance(mine, Vote):
        return replace(mine, parts=tuple(_again(one, bench, part) for part in mine.parts))
    kept = single(mine, Ensemble.name)
    return asking(replace(one, prompt=kept.prompt), bench, kept.shots)
