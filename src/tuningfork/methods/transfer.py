"""Starting from what another task taught (transfer learning; Vu et al. 2022, arXiv 2110.07904, for soft prompts).

The adapter of an exported candidate, or any adapter folder in PEFT's layout, is what tuning goes on from, on this
task's examples. It must belong to the same weights.
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
from .contender import adapter_of, peft_type
from .tuning import paced, tuned

RATES = {
    "LORA": 5e-4,
    "IA3": 5e-3,
    "BOTTLENECK": 5e-4,
    "FULL": 2e-5,
    "PROMPT_TUNING": 5e-3,
    "P_TUNING": 5e-3,
    "PREFIX_TUNING": 5e-3,
}
"""Learning rates to go on at: half of those that the methods begin with."""


@dataclass(frozen=True)
class Transfer:
    """Goes on tuning from the adapter of another task: `transfer(source=EXPORT)`."""

    source: str = ""
    learning_rate: float | None = None
    epochs: float | None = None

    name: ClassVar[str] = "transfer"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if not self.source:
            raise MethodError("transfer needs the adapter to start from: transfer(source=FOLDER).")
        folder = Path(bench.task.folder) / self.source
        adapter = adapter_of(folder / "adapter" if (folder / "adapter").is_dir() else folder)
        rate = self.learning_rate or RATES.get(peft_type(adapter), RATES["LORA"])
        begun = replace(single(start, self.name), adapter=adapter)
        return tuned(begun, bench, self.name, paced(Recipe("start"), bench, rate, self.epochs, few=6.0))
