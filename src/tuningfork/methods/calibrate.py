"""Correct what a model says anyway: a prompted model prefers some labels whatever the text.

Three ways to measure that preference, in nats to take off each label's log-probability:

- `batch` (Zhou et al., ICLR 2024, arXiv 2309.17249): the mean over train inputs; their labels are not looked at. The
  paper takes the log of the mean probability; the mean of the logs does not saturate where a small model is sure of one
  label for nearly every text. It assumes that labels are about equally common.
- `contextual` (Zhao et al. 2021, arXiv 2102.09690): what it says of inputs without content, such as "N/A".
- `vector` (Guo et al. 2017, arXiv 1706.04599): a scale and an offset a label that make the train labels likeliest,
  drawn towards `batch` so that a hundred examples are enough.

`auto` takes the one, or none, that makes the labels of left-out folds of hold and train likeliest. All of it is fitted
once and frozen in the candidate, never taken over the batch at hand, so an answer does not depend on its neighbours.
Examples that stand in the prompt take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from ..candidate import Calibration, Candidate, Single
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict.run import adapted
from ..predict.score import answerer
from ..task import Example, Inputs, Kind
from . import yes_no
from .calibrations import Fit, Row, batch, contextual, left_out_nats, vector
from .draws import unshown

CHUNK = 50
WITHOUT_CONTENT = ("N/A", "[MASK]", "")


@dataclass(frozen=True)
class Calibrate:
    """Takes off what a model says anyway, by batch, contextual or vector calibration, frozen."""

    how: str = "auto"
    inputs: int = 100

    name: ClassVar[str] = "calibrate"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"score"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = replace(single(start, self.name), calibration=None)
        if one.answer_by != "score":
            raise MethodError(f"calibrate needs the log-probability of every label; this answers by {one.answer_by}.")
        if self.how not in ("auto", "batch", "contextual", "vector"):
            raise MethodError(f"calibrate knows no way {self.how!r}. Say auto, batch, contextual or vector.")
        if not one.exclusive:
            return yes_no.matched(one, bench, self.inputs)
        if self.how == "contextual":
            return replace(one, calibration=_without_content(one, bench))
        if fitted := _fitted_before(one, bench.mine):
            return replace(one, calibration=fitted)
        others = unshown(one, bench.train)
        sample = Random(f"calibrate {bench.seed}").sample(others, min(self.inputs, len(others)))
        if self.how == "auto":
            sample = [*bench.hold, *sample][: self.inputs]  # what a training before this has not learnt comes first
        rows = _read(one, bench, sample)
        if not rows:
            raise MethodError(f"None of {len(sample)} inputs outside the prompt could be scored.")
        if self.how == "auto":
            return replace(one, calibration=_best(one, bench, rows))
        return replace(one, calibration=batch(rows) if self.how == "batch" else vector(rows, one.labels))


def _fitted_before(one: Single, mine: Candidate | None) -> Calibration | None:
    """That of an earlier rung, where the same weights are asked in the same words: what they prefer has not changed,
    and reading it off again costs as much as the first time."""
    if not isinstance(mine, Single) or mine.adapter is not None or one.adapter is not None:
        return None
    same = (mine.prompt, mine.words, mine.model) == (one.prompt, one.words, one.model)
    return mine.calibration if same and bool(mine.shots) == bool(one.shots) else None


def _best(one: Single, bench: Bench, rows: Sequence[Row]) -> Calibration | None:
    """The way that says the right labels likeliest where it was not fitted."""
    none = Calibration((0.0,) * len(one.labels))
    fits: dict[str, Fit] = {"batch": batch, "none": lambda _: none, "vector": lambda r: vector(r, one.labels)}
    try:
        empty = _without_content(one, bench)
        fits["contextual"] = lambda _: empty
    except (BudgetSpent, MethodError) as error:
        bench.note("calibrate.without_contextual", str(error))
    how = max(fits, key=lambda each: left_out_nats(fits[each], rows, one.labels))
    bench.note("calibrate.how", how)
    bench.note("calibrate.chosen_on", len(rows))
    return None if how == "none" else fits[how](rows)


def _read(one: Single, bench: Bench, examples: Sequence[Example]) -> list[Row]:
    """What the model says of these, as far as the share goes. Raises BudgetSpent when that is nowhere."""
    answer = answerer(one, adapted(one, bench.models), bench.models, others_only=True)
    rows: list[Row] = []
    for begin in range(0, len(examples), CHUNK):
        chunk = examples[begin : begin + CHUNK]
        try:
            answers = answer([example.inputs for example in chunk])
        except BudgetSpent:
            if not rows:
                raise
            break  # what was read will do
        rows += [(example, p.nats) for example, p in zip(chunk, answers, strict=True) if p.nats]
    return rows


def _without_content(one: Single, bench: Bench) -> Calibration:
    columns = bench.task.columns.input
    empty: list[Inputs] = [dict.fromkeys(columns, text) for text in WITHOUT_CONTENT]
    said = [p.nats for p in answerer(one, adapted(one, bench.models), bench.models)(empty) if p.nats]
    if not said:
        raise MethodError("The model could score no input without content, so there is nothing to calibrate by.")
    return contextual(said)
