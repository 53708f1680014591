"""Starting from what another task taught (transfer learning; Vu et al. 2022, arXiv 2110.07904, for soft prompts).

The weights that an earlier run tuned (by the run's name in `runs/`, or its folder), an exported candidate, or any
adapter folder in PEFT's layout, are what tuning goes on from, on this task's examples. They must belong to the same
weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ..candidate import Candidate
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Adapter, Capability, Recipe
from ..task import Kind
from .contender import adapter_of, peft_type
from .defaults import Pace
from .tuning import rate_of, tuned

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
    """Goes on tuning from another task's weights: `transfer(source=RUN_OR_FOLDER)`."""

    source: str = ""
    trial: str = ""
    learning_rate: float | None = None
    epochs: float | None = None
    search: int | None = None

    name: ClassVar[str] = "transfer"
    family: ClassVar[Family] = "tune"
    needs: ClassVar[frozenset[Need]] = frozenset({"tune"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if not self.source:
            raise MethodError(
                "transfer needs what to start from: transfer(source=RUN), with a run's name in runs/, or "
                "transfer(source=FOLDER), with an export or an adapter."
            )
        one = single(start, self.name)
        adapter = self._adapter(Path(bench.task.folder), one.model)
        before = rate_of(adapter)
        rate = self.learning_rate or (before / 2 if before else RATES.get(peft_type(adapter), RATES["LORA"]))
        begun = replace(one, adapter=adapter)
        return tuned(begun, bench, self.name, Recipe("start"), Pace(rate, self.epochs, self.search))

    def _adapter(self, task_folder: Path, model: str) -> Adapter:
        """The adapter of the run, or in the folder."""
        for folder in (task_folder / self.source, task_folder / "runs" / self.source, Path("runs") / self.source):
            if (folder / "log.jsonl").is_file():
                return tuned_in(folder, model, self.trial)
            if folder.is_dir():
                return adapter_of(folder / "adapter" if (folder / "adapter").is_dir() else folder)
        return adapter_of(task_folder / self.source)


def tuned_in(run: Path, model: str, trial: str = "") -> Adapter:
    """The weights that a run tuned for a model: those of the trial that is named, else of the best on its leaderboard
    that has any. Raises MethodError where there are none."""
    born = {line["trial"]: line["data"] for line in _lines(run / "log.jsonl") if line.get("type") == "born"}
    tuned = {name: data for name, data in born.items() if data.get("model") == model and data.get("adapter")}
    if not tuned or trial not in ("", *tuned):
        there = ", ".join(tuned) or "none"
        raise MethodError(
            f"The run {run} holds no {f'trial {trial!r}' if trial else 'candidate'} of {model} with weights to go on "
            f"from. Trials with weights for this model: {there}."
        )
    name = trial or next((name for name in _ranked(run) if name in tuned), next(iter(tuned)))
    return _read(tuned[name]["adapter"], run / "blobs")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a log; a last line that was cut off is no event."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _ranked(run: Path) -> list[str]:
    """The trials of a run, best first, as its verdict has them; none where it has no verdict yet."""
    try:
        return [
            row["candidate"] for row in json.loads((run / "verdict.json").read_text(encoding="utf-8"))["leaderboard"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _read(data: Mapping[str, Any], blobs: Path) -> Adapter:
    """An adapter from a log's data, and what lies under it."""
    try:
        files = {name: (blobs / entry["blob"]).read_bytes() for name, entry in data["files"].items()}
    except OSError as error:
        raise MethodError(
            f"The weights can't be read ({error}). Was the run's folder moved without its blobs?"
        ) from error
    made = Adapter.of(data["base"], files)
    for name, entry in data["files"].items():
        if made.files[name].sha256 != entry["blob"]:
            raise MethodError(f"The blob {blobs / entry['blob']} is damaged: its SHA-256 is not its name.")
    return replace(made, under=_read(data["under"], blobs)) if data.get("under") else made
