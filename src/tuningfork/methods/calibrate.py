"""Correct what a model says anyway: a prompted model prefers some labels whatever the text.

Three ways to measure that preference, in nats to take off each label's log-probability:

- `batch` (Zhou et al., ICLR 2024, arXiv 2309.17249): the mean over train inputs; their labels are not looked at. The
  paper takes the log of the mean probability; the mean of the logs does not saturate where a small model is sure of one
  label for nearly every text. It assumes that labels are about equally common.
- `contextual` (Zhao et al. 2021, arXiv 2102.09690): what it says of inputs without content, such as "N/A".
- `vector` (Guo et al. 2017, arXiv 1706.04599): a scale and an offset a label that make the train labels likeliest,
  drawn towards `batch` so that a hundred examples are enough.

`auto` keeps `batch` unless leaving out folds of train and hold shows another way to be better by more than its standard
error. All of it is fitted once and frozen in the candidate, never taken over the batch at hand, so an answer does not
depend on its neighbours. Examples that stand in the prompt take no part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, ClassVar

from ..candidate import Calibration, Candidate, Prediction, Single
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Family, Need, single
from ..metrics import Metric
from ..model import Capability, Usage
from ..predict.run import adapted
from ..predict.score import answerer, decided
from ..task import Example, Inputs, Kind
from .draws import unshown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Row = tuple[Example, tuple[float, ...]]
"""An example and the model's nats for every label."""
Fit = Callable[[Sequence[Row]], Calibration]

CHUNK = 50
FOLDS = 5
WITHOUT_CONTENT = ("N/A", "[MASK]", "")
SCALE_PULL, OFFSET_PULL = 0.1, 0.02
"""How strongly a scale is drawn to 1 and an offset to that of `batch`, in nats a squared unit."""


@dataclass(frozen=True)
class Calibrate:
    """Takes off each label's log-probability what the model says anyway, frozen: by batch, contextual or vector."""

    how: str = "auto"
    inputs: int = 100

    name: ClassVar[str] = "calibrate"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"score"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = replace(single(start, self.name), calibration=None)
        if one.answer_by != "score":
            raise MethodError(f"calibrate needs the log-probability of every label; this answers by {one.answer_by}.")
        if self.how not in ("auto", "batch", "contextual", "vector"):
            raise MethodError(f"calibrate knows no way {self.how!r}: say auto, batch, contextual or vector.")
        if self.how == "contextual":
            return replace(one, calibration=_contextual(one, bench))
        others = unshown(one, bench.train)
        sample = Random(f"calibrate {bench.seed}").sample(others, min(self.inputs, len(others)))
        rows = _read(one, bench, sample)
        if not rows:
            raise MethodError(f"None of {len(sample)} train inputs outside the prompt could be scored.")
        if self.how == "auto":
            return _auto(one, bench, rows)
        return replace(one, calibration=_batch(rows) if self.how == "batch" else _vector(one, rows))


def _read(one: Single, bench: Bench, examples: Sequence[Example], must: bool = True) -> list[Row]:
    """What the model says of these, as far as the share goes; with `must` a share that is spent at once is an error."""
    answer = answerer(one, adapted(one, bench.models), bench.models, others_only=True)
    rows: list[Row] = []
    for begin in range(0, len(examples), CHUNK):
        chunk = examples[begin : begin + CHUNK]
        try:
            answers = answer([example.inputs for example in chunk])
        except BudgetSpent:
            if must and not rows:
                raise
            break  # what was read will do
        rows += [(example, p.nats) for example, p in zip(chunk, answers, strict=True) if p.nats]
    return rows


def _batch(rows: Sequence[Row]) -> Calibration:
    return Calibration(tuple(sum(column) / len(rows) for column in zip(*(nats for _, nats in rows), strict=True)))


def _contextual(one: Single, bench: Bench) -> Calibration:
    """The log of the mean probability that inputs without content get."""
    columns = bench.task.columns.input
    empty: list[Inputs] = [dict.fromkeys(columns, text) for text in WITHOUT_CONTENT]
    answers = answerer(one, adapted(one, bench.models), bench.models)(empty)
    rows = [p.nats for p in answers if p.nats]
    if not rows:
        raise MethodError("The model could score no input without content, so there is nothing to calibrate by.")
    means = (sum(math.exp(nats) for nats in column) / len(rows) for column in zip(*rows, strict=True))
    return Calibration(tuple(math.log(max(mean, 1e-30)) for mean in means))


def _vector(one: Single, rows: Sequence[Row]) -> Calibration:
    """Scale and offset of each label by regularised cross-entropy: it is convex, so any solver finds the one best."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    x = np.array([nats for _, nats in rows])  # (n, labels)
    y = np.array([one.labels.index(example.answer) for example, _ in rows])
    n, labels = x.shape
    usual = x.mean(axis=0)

    def loss(both: Array) -> tuple[float, Array]:
        scale, offset = both[:labels], both[labels:]
        nats = log_softmax(x * scale - offset, axis=1)
        wrong = np.exp(nats)
        wrong[np.arange(n), y] -= 1.0
        pull = SCALE_PULL * ((scale - 1) ** 2).sum() + OFFSET_PULL * ((offset - usual) ** 2).sum()
        slope = [(wrong * x).mean(axis=0) + 2 * SCALE_PULL * (scale - 1)]
        slope += [2 * OFFSET_PULL * (offset - usual) - wrong.mean(axis=0)]
        return float(pull - nats[np.arange(n), y].mean()), np.concatenate(slope)

    found = minimize(loss, np.concatenate([np.ones(labels), usual]), jac=True, method="L-BFGS-B").x
    return Calibration(tuple(map(float, found[labels:])), tuple(map(float, found[:labels])))


def _auto(one: Single, bench: Bench, rows: Sequence[Row]) -> Single:
    """The way that is best on folds left out of train; hold, as far as the share goes, is a part of them."""
    none = Calibration((0.0,) * len(one.labels))
    ways: dict[str, Fit] = {"batch": _batch, "none": lambda rows: none, "vector": lambda rows: _vector(one, rows)}
    try:
        contextual = _contextual(one, bench)
        ways["contextual"] = lambda rows: contextual
    except (BudgetSpent, MethodError):
        pass  # one way fewer
    both = [*rows, *_read(one, bench, bench.hold, must=False)]
    scores = {how: _left_out(one, bench.metric, fit, both) for how, fit in ways.items()}
    best = "batch"
    for how, score in scores.items():
        if sum(score) > sum(scores[best]) and _beyond_noise(score, scores["batch"]):
            best = how
    bench.note("calibrate.how", best)
    return replace(one, calibration=ways[best](rows if best == "batch" else both) if best != "none" else None)


def _left_out(one: Single, metric: Metric, fit: Fit, rows: Sequence[Row]) -> list[float]:
    """Item scores, higher is better, of rows that the calibration was not fitted on."""
    sign = 1.0 if metric.higher_is_better else -1.0
    found = [0.0] * len(rows)
    for fold in range(min(FOLDS, len(rows))):
        others = [row for i, row in enumerate(rows) if i % FOLDS != fold] or list(rows)
        made = fit(others)
        for i in range(fold, len(rows), FOLDS):
            example, nats = rows[i]
            found[i] = sign * metric.item(example, _said(one, nats, made))
    return found


def _said(one: Single, nats: Sequence[float], made: Calibration) -> Prediction:
    scale = made.scale or (1.0,) * len(nats)
    logits = [s * value - off for s, value, off in zip(scale, nats, made.offset_nats, strict=True)]
    return decided(one.labels, logits, Usage())
