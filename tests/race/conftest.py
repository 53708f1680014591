"""A small race on the fake models, with a plan made by hand, so that nothing hangs on how fast this machine is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tuningfork.decide import decide
from tuningfork.log import RunLog
from tuningfork.method import Method
from tuningfork.methods import open_method
from tuningfork.metrics import open_metric
from tuningfork.models.fake import FakeModel
from tuningfork.race.meter import Rates
from tuningfork.race.plan import Plan
from tuningfork.race.run import race
from tuningfork.task import BUDGETS, Columns, Example, Sources, Split, Task

LABELS = ("billing_team", "bugs", "ideas")
TEXTS = {
    "billing_team": "the invoice {0} charged my card twice for {1} seats",
    "bugs": "the export crashes with error {0} on the {1} page",
    "ideas": "it would be lovely to sort the {1} list by colour {0}",
}
METHODS = ("majority", "zero_shot", "few_shot", "few_shot+calibrate", "head", "lora")
TASK = Task(
    "small",
    "classification",
    Sources("rows.csv"),
    Columns(("text",), "label"),
    "Which team?",
    LABELS,
    ("accuracy",),
    models=("fake", "fake-encoder"),
    budget=replace(BUDGETS["light"], seconds=600.0),
    seed=3,
)
PLAN = Plan(
    seconds=100.0,
    rates={"fake": Rates(10_000, 1_000, 10_000), "fake-encoder": Rates(50_000, 1_000, 50_000)},
    trials=(),
    skipped={},
    race_seconds=50.0,
    final_seconds=45.0,
    block_items=16,
    dev_items=48,
    test_items=40,
    finalists=5,
    latency_requests=4,
    budget={},
)


def examples(part: str, count: int) -> tuple[Example, ...]:
    """Rows whose every third word gives the label away, some of them mislabelled, so that no road is perfect."""
    made = []
    for number in range(count):
        label = LABELS[number % 3]
        text = TEXTS[label].format(f"{part}{number}", "abcdefg"[number % 7])
        made.append(Example(f"{part}{number}", {"text": text}, LABELS[number % 2] if number % 7 == 0 else label))
    return tuple(made)


SPLIT = Split(examples("train", 30), examples("hold", 9), examples("dev", 48), examples("test", 40), notes=("A note.",))


@dataclass
class Track:
    """Where races are run: the same models for a race and its resuming, so that their calls can be counted."""

    task: ClassVar[Task] = TASK
    split: ClassVar[Split] = SPLIT
    plan: ClassVar[Plan] = PLAN

    folder: Path
    models: Mapping[str, FakeModel] = field(
        default_factory=lambda: {"fake": FakeModel("fake"), "fake-encoder": FakeModel("fake-encoder", kind="encoder")}
    )

    def run(
        self,
        methods: Sequence[str | Method] = METHODS,
        task: Task = TASK,
        split: Split = SPLIT,
        plan: Plan | None = PLAN,
        metrics: Sequence[Any] = (),
        **more: Any,
    ) -> RunLog:
        """A whole race, or what is left of one with `resume=True`."""
        return race(
            task,
            split,
            [open_method(m) if isinstance(m, str) else m for m in methods],
            self.models.__getitem__,
            self.folder,
            capabilities={name: model.capabilities for name, model in self.models.items()},
            metrics=metrics or [open_metric("accuracy")],
            task_data={"name": task.name, "kind": task.kind, "tolerance": 0.01, "seed": task.seed},
            plan=plan,
            **more,
        )

    @property
    def tunes(self) -> int:
        return sum(model.calls["tune"] for model in self.models.values())

    @staticmethod
    def timeless(log: RunLog) -> dict[str, Any]:
        """The verdict without what a clock says."""
        verdict: dict[str, Any] = json.loads(json.dumps(decide(log).to_dict()))
        verdict["budget"].pop("spent_seconds")
        for answer in ("cost", "limits", "why"):  # seconds, latencies, and what probes found
            verdict["answers"].pop(answer, None)
        for row in verdict["leaderboard"]:
            for key in ("adapt_seconds", "latency_ms", "probes"):
                row.pop(key)
        for timed in ("cost", "limits"):  # seconds, money of hardware by the hour, the front by latency
            verdict["answers"].pop(timed, None)
        verdict["answers"].get("why", {}).pop("probes", None)
        return verdict


@pytest.fixture
def track(tmp_path: Path) -> Callable[..., Track]:
    """`track("a")`: a place for races of their own."""
    return lambda name="run", **more: Track(tmp_path / name, **more)


@pytest.fixture(autouse=True)
def _no_power_loss_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is most of the time of a race on fake models."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
