"""BLEU (Papineni et al. 2002) and chrF (Popovic 2015), by sacrebleu with its usual settings, as shares of 1 and not of
100.

BLEU is a number of a whole corpus: counts of n-grams are summed over the items first. So races run on each item's own
BLEU (smoothed, effective order), and the total is sacrebleu's corpus BLEU. chrF here is the mean of the items' chrF,
which needs no such care and works in any script. Several acceptable texts are several references.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..candidate import Prediction
from ..errors import MissingExtra
from ..task import Example, Kind
from .field_f1 import acceptable

WRITTEN: frozenset[Kind] = frozenset({"generation"})


class Bleu:
    """Word n-grams shared with the reference: corpus BLEU of sacrebleu, 0 to 1."""

    name = "bleu"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds = WRITTEN
    races_on = "the item's own BLEU, smoothed"

    def __init__(self) -> None:
        _sacrebleu()

    def item(self, example: Example, prediction: Prediction) -> float:
        return min(1.0, float(_counted(prediction.answer, acceptable(example)).score / 100))

    def total(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> float:
        found = [_counted(p.answer, acceptable(e)) for e, p in zip(examples, predictions, strict=True)]
        score = _sacrebleu().BLEU.compute_bleu(
            correct=[sum(counts) for counts in zip(*(one.counts for one in found), strict=True)],
            total=[sum(counts) for counts in zip(*(one.totals for one in found), strict=True)],
            sys_len=sum(one.sys_len for one in found),
            ref_len=sum(one.ref_len for one in found),
            smooth_method="exp",
        )
        return min(1.0, float(score.score / 100))


class Chrf:
    """Character n-grams shared with the reference: the mean of the items' chrF (sacrebleu), 0 to 1."""

    name = "chrf"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds = WRITTEN

    def __init__(self) -> None:
        self._chrf = _sacrebleu().CHRF()

    def item(self, example: Example, prediction: Prediction) -> float:
        return min(1.0, float(self._chrf.sentence_score(prediction.answer, list(acceptable(example))).score / 100))


@lru_cache(maxsize=1 << 15)
def _counted(answer: str, targets: tuple[str, ...]) -> Any:
    """Sentence BLEU with its counts; kept, because a bootstrap sums the same ones a thousand times."""
    return _sentence().sentence_score(answer, list(targets))


@lru_cache(maxsize=1)
def _sentence() -> Any:
    return _sacrebleu().BLEU(effective_order=True)


def _sacrebleu() -> Any:
    try:
        import sacrebleu.metrics
    except ImportError:
        raise MissingExtra("BLEU and chrF", "sacrebleu", "metrics") from None
    return sacrebleu.metrics
