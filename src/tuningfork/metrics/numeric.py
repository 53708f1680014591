"""Whether the number that an answer comes to is the right one: the last number in its text.

So reasoning may stand before the answer, as GSM8K is scored (Cobbe et al. 2021, arXiv 2110.14168). Thousands may be
grouped by commas; a currency sign before a number and a percent sign after it do not count. Words ("twelve") and
fractions ("3/4", which ends in 4) are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Prediction
from ..errors import DataError
from ..task import Example, Kind
from .field_f1 import acceptable

NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|(?<!\d)\.\d+")


@dataclass(frozen=True)
class Numeric:
    """1 where the last number of the answer is the target's, within `tolerance` of it (as a share, of at least 1)."""

    tolerance: float = 1e-6

    name: ClassVar[str] = "numeric"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = frozenset({"generation"})

    def item(self, example: Example, prediction: Prediction) -> float:
        said = last_number(prediction.answer)
        targets = [last_number(text) for text in acceptable(example)]
        wanted = [number for number in targets if number is not None]
        if not wanted:
            raise DataError(
                f"numeric compares numbers, and the target of example {example.id!r} has none: "
                f"{example.answer!r:.80}. Mend the target, or use exact_match or token_f1."
            )
        return float(said is not None and any(abs(said - w) <= self.tolerance * max(1.0, abs(w)) for w in wanted))


def last_number(text: str) -> float | None:
    """The last number that stands in a text, or None."""
    found = NUMBER.findall(text)
    return float(re.sub(r"[,$€£]", "", found[-1]).replace("\u2212", "-")) if found else None
