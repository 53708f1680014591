"""The instruction rewritten by a strong helper model that reads the mistakes (GEPA, Agrawal et al., ICLR 2026, arXiv
2507.19457), through the `gepa` library.

The helper sees a few train examples with what was answered and what was wanted, and proposes another instruction; gepa
keeps those that do better, by their fronts on hold. Small models write nothing worth having here (gepa issue 170), so
the helper is named by the user: a model of the race, whose tokens count against the share, or any other that can be
opened, which is asked at most `proposals` times and whose tokens are noted. First a handful of prompts must show that
there is something to gain (`headroom`); at the end what was found must beat the start on hold beyond noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from statistics import mean
from typing import Any, ClassVar

from ..candidate import Candidate, Single
from ..errors import MethodError, MissingExtra
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from .choosing import choose, tell, unshown_by_all
from .gepa_adapter import TEXT, Adapter, Silent, Writer, helper_of, text_of, with_text
from .headroom import headroom
from .wordings import EXPLICIT, in_words_of, sparing_read, worded
from .zero_shot import asking

KEPT = 0.3
"""Of the share, for the last choice."""
FINALISTS = 3
MOST_EXAMPLES = 60
MINIBATCH = 3
"""Examples that the helper sees at a time."""
TRIES = 5
"""Rounds for each proposal: where all examples of a round are answered right, nothing is proposed."""


@dataclass(frozen=True)
class Reflect:
    """Has a strong helper model rewrite the instruction from mistakes, by gepa; settings: helper=MODEL."""

    helper: str = ""
    proposals: int = 12
    max_tokens: int = 1500

    name: ClassVar[str] = "reflect"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        asked = asking(one, bench, one.shots)
        if isinstance(bench.mine, Single) and bench.mine.prompt:
            return in_words_of(asked, bench.mine)  # written on an earlier rung
        if find_spec("gepa") is None:
            raise MissingExtra("The method reflect", "gepa", "reflect")
        writer = Writer(helper_of(self.helper, bench), self.proposals, self.max_tokens)
        explicit = [worded(asked, bench, wording) for wording in EXPLICIT if one.labels or wording.labels == "sentence"]
        tried, more = headroom(self.name, sparing_read(bench), asked, explicit)
        if not more:
            return asked
        written = _evolved(tried.best, bench, writer)
        bench.note("reflect.proposals", writer.asked)
        bench.note("reflect.helper_tokens", writer.usage.tokens_in + writer.usage.tokens_out)
        bench.note("reflect.helper_usd", writer.usage.usd)
        choice = choose(sparing_read(bench), [tried.best, *written], incumbent=True)
        tell(bench, self.name, "finalists", choice)
        return choice.best


def _evolved(start: Single, bench: Bench, writer: Writer) -> list[Single]:
    """The best rewritten prompts of all that gepa asked about, at most FINALISTS. It ends where the share or the
    proposals do; what was written until then is kept. Raises MethodError where the helper fails at once."""
    from gepa.api import optimize

    hold = list(bench.hold[:MOST_EXAMPLES])
    known = {example.id for example in bench.hold}
    learn = [e for e in unshown_by_all(bench, [start]) if e.id not in known][:MOST_EXAMPLES]
    if not learn:  # demonstrations are picked from all of train: then half of hold is learnt from
        learn, hold = hold[::2], hold[1::2]
    if not learn or not hold:
        return []
    adapter = Adapter(start, bench)
    reserve, rounds = bench.share.tokens * KEPT, count()

    def ends(state: object) -> bool:
        share = bench.share
        spent = share.tokens <= reserve or share.seconds <= 0
        return spent or bool(writer.failure) or max(writer.asked, next(rounds) // TRIES) >= writer.proposals

    run: Any = optimize  # its types ask for its own classes, its code for what they can
    run(
        {TEXT: text_of(start)},
        trainset=learn,
        valset=hold,
        adapter=adapter,
        reflection_lm=writer,
        max_metric_calls=2 * (writer.proposals + 1) * (len(hold) + 2 * MINIBATCH),
        reflection_minibatch_size=MINIBATCH,
        stop_callbacks=[ends],
        logger=Silent(),
        seed=bench.seed,
        raise_on_exception=False,
    )
    if writer.failure:
        if len(adapter.scores) < 2:
            raise MethodError(writer.failure)
        bench.note("reflect.stopped", writer.failure)
    best = sorted(adapter.scores, key=lambda t: (len(adapter.scores[t]) < len(hold), -mean(adapter.scores[t])))
    made = [with_text(start, text, bench.task.columns.input) for text in best if text != text_of(start)]
    return [prompt for prompt in made if prompt is not None][:FINALISTS]
