"""Starting from what another task taught (transfer learning; Vu et al. 2022, arXiv 2110.07904, for soft prompts).

The adapter of an earlier run, or any adapter folder in PEFT's layout, is what tuning goes on from, on this task's
examples. It must belong to the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ..candidate import Candidate
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, Recipe
from ..task import Kind
from .contender import adapter_of
from .tuning import paced, tuned


@dataclass(frozen=True)
class Transfer:
    """Goes on tuning from the adapter of another task: `transfer(source=FOLDER)`."""

    source: str = ""
    learning_rate: float = 5e-4
    epochs: float | None = None

    name: ClassVar[str] = "transfer"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if not self.source:
            raise MethodError("transfer needs the adapter to start from: transfer(source=FOLDER).")
        begun = replace(single(start, self.name), adapter=adapter_of(Path(self.source)))
        return tuned(begun, bench, self.name, paced(Recipe("start"), bench, self.learning_rate, self.epochs, few=6.0))
