"""A linear classifier on frozen features: the cheapest way of tuning, and a hard one to beat on few examples.

The model embeds every train example once; scikit-learn's logistic regression does the rest (linear probing, Alain &
Bengio 2016, arXiv 1610.01644). An encoder gives its own pooled unit vector; a causal model the last token of the
rendered prompt, whose features are standardised, and the standardising is folded into the weights. The strength of
the penalty is chosen on hold where that has two examples a label, else by cross-validation on train; then the
classifier is fitted once more on train and hold together. Where several labels may hold, each has a classifier of its
own (`one_vs_rest`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from ..candidate import Calibration, Candidate, Single
from ..errors import BudgetSpent, MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, Failure, Vector
from ..predict.head import embedder, head_of
from ..predict.prompt import default_template
from ..predict.run import adapted
from ..task import Example, Inputs, Kind
from .one_vs_rest import fitted, strength_of, threshold_of
from .yes_no import sets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Numbers = NDArray[np.int64]

Known = Sequence[Example]
MANY_LABELS = 20
UNSEEN_NATS = -20.0
"""The logit of a label that no example shows: it is never said, and its probability is not zero."""


@dataclass(frozen=True)
class FitHead:
    """Fits a linear classifier on the model's frozen features."""

    strengths: tuple[float, ...] = (0.1, 0.56, 3.2, 18.0, 100.0)
    folds: int = 5
    most: int = 20_000

    name: ClassVar[str] = "head"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"embed"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        import numpy as np

        one = self._reading(single(start, self.name), bench)
        plain = one.prompt is None
        embed = embedder(
            one, adapted(one, bench.models), bench.models, -1, None if plain else "last", plain, others_only=True
        )
        learn, choose = bench.train, bench.hold
        if one.adapter and bench.mine:  # weights that went on have learnt hold too: it can't choose any more
            learn, choose = (*learn, *choose), ()
        hold, held = _features(embed, choose)
        train, learnt = _features(embed, _sample(learn, self.most, bench.seed))
        if len({example.answer for example in learnt}) < 2:
            text = f"Features of {len(learnt)} train examples were had, with fewer than two labels among them."
            raise MethodError(text)
        centre, spread = np.zeros(train.shape[1]), np.ones(train.shape[1])
        if not plain:
            centre, deviation = train.mean(axis=0), train.std(axis=0)
            spread = np.where(deviation > 1e-6, deviation, 1.0) * np.sqrt(train.shape[1])  # rows of about unit length
        train, hold = (train - centre) / spread, (hold.reshape(-1, len(centre)) - centre) / spread
        learned = self._several if not one.exclusive else self._one
        weight, bias, calibration = learned(train, learnt, hold, held, one.labels, bench)
        weight = weight / spread
        head = head_of(weight, bias - weight @ centre, None if plain else "last", plain)
        return replace(one, head=head, calibration=calibration, answer_by="head")

    def _one(
        self, x: Array, learnt: Known, hold: Array, held: Known, labels: Sequence[str], bench: Bench
    ) -> tuple[Array, Array, Calibration | None]:
        """Weight and bias of a classifier of one label an input."""
        import numpy as np

        y, hold_y = (np.array([labels.index(e.answer) for e in part], dtype=np.int64) for part in (learnt, held))
        strength = self._choose(x, y, hold, hold_y, len(labels), bench.seed)
        found = _fit(np.concatenate([x, hold]), np.concatenate([y, hold_y]), strength)
        return (*_rows(found, len(labels)), None)

    def _several(
        self, x: Array, learnt: Known, hold: Array, held: Known, labels: Sequence[str], bench: Bench
    ) -> tuple[Array, Array, Calibration | None]:
        """Weight and bias for each label by itself, and from which logit on it is said."""
        import numpy as np

        y, hold_y = (
            np.array([[label in sets(e) for label in labels] for e in part], dtype=float).reshape(-1, len(labels))
            for part in (learnt, held)
        )
        strength = strength_of(x, y, hold, hold_y, self.strengths)
        weight, bias = fitted(x, y, strength)
        threshold = threshold_of(hold @ weight.T + bias, held, labels, bench.metric)
        weight, bias = fitted(np.concatenate([x, hold]), np.concatenate([y, hold_y]), strength)
        return weight, bias, Calibration((threshold,) * len(labels))

    def _reading(self, start: Single, bench: Bench) -> Single:
        """An encoder reads the plain input, a model that answers reads the prompt: one that asks about no label, where
        each would be asked about by itself."""
        if bench.models[start.model].capabilities & {"score", "generate"}:
            if not start.exclusive:
                return replace(start, prompt=default_template(bench.task.with_(kind="generation")), shots=())
            return replace(start, prompt=start.prompt or default_template(bench.task))
        return replace(start, prompt=None, shots=())

    def _choose(self, x: Array, y: Numbers, hold: Array, hold_y: Numbers, labels: int, seed: int) -> float:
        """The strength (scikit-learn's C) of best accuracy, then log-probability; ties go to the stronger penalty."""
        import numpy as np

        fewest = int(min(np.unique(y, return_counts=True)[1]))
        known = np.isin(hold_y, y)
        if len(hold_y) >= 2 * labels and known.any():
            parts = [(x, y, hold[known], hold_y[known])]
        elif fewest >= 2:
            from sklearn.model_selection import StratifiedKFold

            folds = self.folds if labels <= MANY_LABELS else 3  # a fit takes seconds there, on slow machines
            cut = StratifiedKFold(min(folds, fewest), shuffle=True, random_state=seed)
            parts = [(x[a], y[a], x[b], y[b]) for a, b in cut.split(x, y)]
        else:
            return 10.0
        scores = {c: [_quality(_fit(a, b, c, 1e-3), p, q) for a, b, p, q in parts] for c in self.strengths}
        return max(self.strengths, key=lambda c: (np.mean(scores[c], axis=0).round(9).tolist(), -c))


def _sample(train: Sequence[Example], most: int, seed: int) -> list[Example]:
    """Train in a seeded order, so that what fits into the share is a fair sample."""
    return Random(f"head {seed}").sample(train, min(most, len(train)))


def _features(
    embed: Callable[[Sequence[Inputs]], list[Vector | Failure]], examples: Sequence[Example]
) -> tuple[Array, Known]:
    """Features (n, d), and the n examples that could be embedded before the share was spent."""
    import numpy as np

    rows: list[Any] = []
    known: list[Example] = []
    for begin in range(0, len(examples), 256):
        block = examples[begin : begin + 256]
        try:
            replies = embed([example.inputs for example in block])
        except BudgetSpent:
            if not rows:
                raise
            break
        for example, reply in zip(block, replies, strict=True):
            if not isinstance(reply, Failure):
                rows.append(reply.values)
                known.append(example)
    features = np.stack(rows).astype(np.float64) if rows else np.zeros((0, 0))
    return features, known


def _fit(x: Array, y: Numbers, strength: float, tolerance: float = 1e-4) -> Any:
    """A fitted classifier. `tolerance` is on the gradient: 1e-3 is near enough to compare strengths by."""
    from warnings import catch_warnings, filterwarnings, simplefilter

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with catch_warnings():
        simplefilter("ignore", ConvergenceWarning)  # a thousand steps are near enough to answer by
        filterwarnings("ignore", "The number of unique classes")  # few examples of many labels: that is the task
        return LogisticRegression(C=strength, max_iter=1000, tol=tolerance).fit(x, y)


def _quality(fitted: Any, x: Array, y: Numbers) -> tuple[float, float]:
    import numpy as np

    nats = fitted.predict_log_proba(x)  # (n, classes)
    columns = np.searchsorted(fitted.classes_, y)
    right = fitted.classes_[nats.argmax(axis=1)] == y
    return float(right.mean()), float(np.maximum(nats[np.arange(len(y)), columns], UNSEEN_NATS).mean())


def _rows(fitted: Any, labels: int) -> tuple[Array, Array]:
    """Weight (labels, d) and bias (labels,) of a fitted classifier; of two classes it keeps one row, for the second."""
    import numpy as np

    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    weight, bias = np.zeros((labels, coefficients.shape[1])), np.full(labels, UNSEEN_NATS)
    weight[fitted.classes_], bias[fitted.classes_] = coefficients, intercepts
    return weight, bias
