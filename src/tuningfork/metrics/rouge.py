"""Words and word pairs that an answer shares with a reference (Lin 2004), by Google's `rouge-score`: its F-measure, the
best over the acceptable texts.

Its tokenizer knows the letters a to z and digits only: in other scripts it sees nothing, and `chrf` says more. It
rewards copying and length; it knows no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from ..candidate import Prediction
from ..errors import MissingExtra
from ..task import Example, Kind
from .field_f1 import acceptable


@dataclass(frozen=True)
class _Rouge:
    """`stem`: words count by their English stem (Porter)."""

    stem: bool = False

    name: ClassVar[str]
    kind: ClassVar[str]
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = frozenset({"generation"})

    def __post_init__(self) -> None:
        _scorer(self.kind, self.stem)  # a library that lacks is told at once

    def item(self, example: Example, prediction: Prediction) -> float:
        scorer = _scorer(self.kind, self.stem)
        return float(scorer.score_multi(list(acceptable(example)), prediction.answer)[self.kind].fmeasure)


class Rouge1(_Rouge):
    """F-measure of single words shared with the reference (rouge-score)."""

    name, kind = "rouge_1", "rouge1"


class Rouge2(_Rouge):
    """F-measure of word pairs shared with the reference (rouge-score)."""

    name, kind = "rouge_2", "rouge2"


class RougeL(_Rouge):
    """F-measure of the longest common subsequence of words (rouge-score)."""

    name, kind = "rouge_l", "rougeL"


@lru_cache
def _scorer(kind: str, stem: bool) -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise MissingExtra("ROUGE", "rouge-score", "metrics") from None
    return RougeScorer([kind], use_stemmer=stem)
