"""A method of ours on its model, and what its candidate says of a pool of rows: if right, how sure, at what cost."""

from __future__ import annotations

import time
from typing import Any

import limit
from tuningfork.method import Bench, Share
from tuningfork.methods import open_method
from tuningfork.metrics import open_metric
from tuningfork.models import open_model
from tuningfork.predict import predict
from tuningfork.race.plan import start
from tuningfork.task import Columns, Example, Sources, Task

WARM = 64
PLENTY = Share(10**9, 10**9, 1e6)


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: method, model, instruction, labels, and the rows learn, hold and pool as [text, label]."""
    task = Task(
        "cascade",
        "classification",
        Sources("-"),
        Columns(("text",), "label"),
        job["instruction"],
        tuple(job["labels"]),
        ("accuracy",),
    )
    model = open_model(job["model"])
    metric = open_metric("accuracy")
    models, can = {job["model"]: model}, {job["model"]: model.capabilities}
    learn, hold, pool = (examples(job[name], name) for name in ("learn", "hold", "pool"))
    bench = Bench(task, learn, hold, models, metric, lambda: PLENTY, capabilities=can)
    begin = time.perf_counter()
    candidate = open_method(job["method"])(start(task, job["model"], model.capabilities), bench)
    adapt_seconds = time.perf_counter() - begin
    list(predict(candidate, models, [example.inputs for example in pool[:WARM]]))
    begin = time.perf_counter()
    said = list(predict(candidate, models, [example.inputs for example in pool]))
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "adapt_seconds": adapt_seconds,
        "tokens": sum(p.usage.tokens_in + p.usage.tokens_out for p in said),
        "right": "".join(str(int(p.answer == e.target)) for p, e in zip(said, pool, strict=True)),
        "confidence": [None if p.confidence is None else round(p.confidence, 6) for p in said],
        "versions": limit.versions("tuningfork", "torch", "transformers"),
    }


def examples(rows: list[list[str]], name: str) -> tuple[Example, ...]:
    """Rows as a method is given them."""
    return tuple(Example(f"{name}{number}", {"text": text}, label) for number, (text, label) in enumerate(rows))


if __name__ == "__main__":
    from worker import work

    work(answer)
