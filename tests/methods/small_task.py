"""A small task for a method: examples, models that remember what they were tuned on, and a start."""

from __future__ import annotations

from typing import Any

from tuningfork.candidate import Single
from tuningfork.method import Bench, Share
from tuningfork.metrics import open_metric
from tuningfork.model import Recipe
from tuningfork.models.fake import FakeModel
from tuningfork.predict.prompt import default_template, words_of
from tuningfork.task import Columns, Example, Kind, Sources, Task

TOPICS = ("cats and kittens", "trains on rails", "soup with bread", "rain over hills", "chess at night")


class Watched(FakeModel):
    """The fake, remembering what it was asked to tune on."""

    def tune(self, recipe: Recipe, items: Any, hold: Any, start: Any = None) -> Any:
        self.tuned = (recipe, list(items), list(hold), start)
        return super().tune(recipe, items, hold, start)


def bench(labels: int = 3, per_label: int = 10, hold: int = 6, kind: Kind = "classification", **about: Any) -> Bench:
    names = tuple(f"label_{i}" for i in range(labels)) if kind == "classification" else ()
    made = [
        Example(f"e{n}", {"text": f"{TOPICS[n % labels % 5]} {n % labels} number {n}"}, f"label_{n % labels}")
        for n in range(labels * per_label + hold)
    ]
    models = {"fake": Watched("fake"), "fake-encoder": Watched("fake-encoder", kind="encoder")}
    task = Task("t", kind, Sources("x"), Columns(("text",), "label"), "Which?", names, ("accuracy",))
    about = {"train": tuple(made[hold:]), "hold": tuple(made[:hold]), "models": models} | about
    can = {name: model.capabilities for name, model in about["models"].items()}
    left = about.pop("left", lambda: Share(10**9, 10**6, 1000.0))
    return Bench(task=task, metric=open_metric("accuracy"), left=left, capabilities=can, **about)


def start(at: Bench, model: str = "fake") -> Single:
    labels = at.task.labels
    return Single(model, labels, words_of(labels), default_template(at.task))
