"""How much of the wanted words an answer has: F1 of two bags of words, best over the acceptable texts.

Normalised as the SQuAD evaluation script does it (Rajpurkar et al. 2016, arXiv 1606.05250): lower case, no
punctuation, no English articles. Words are split at white space, so it says little about languages written without
it.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from ..candidate import Prediction
from ..task import Example, Kind
from .field_f1 import acceptable

PUNCTUATION = str.maketrans("", "", string.punctuation)


class TokenF1:
    """F1 of the words of answer and target, 0 to 1."""

    name = "token_f1"
    range = (0.0, 1.0)
    higher_is_better = True
    kinds: frozenset[Kind] = frozenset({"generation"})

    def item(self, example: Example, prediction: Prediction) -> float:
        return max((_f1(_words(prediction.answer), _words(target)) for target in acceptable(example)), default=0.0)


def _words(text: str) -> list[str]:
    return re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(PUNCTUATION)).split()


def _f1(answer: list[str], target: list[str]) -> float:
    if not answer or not target:
        return float(answer == target)
    shared = sum((Counter(answer) & Counter(target)).values())
    return 2 * shared / (len(answer) + len(target))
