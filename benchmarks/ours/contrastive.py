"""Our contrastive tuning as a race runs it: the method on a bench of train examples, then its answers."""

from __future__ import annotations

import time
from typing import Any

import limit
from ours.measured import PACKAGES, open_model
from tuningfork.candidate import Single
from tuningfork.method import Bench, Share
from tuningfork.methods import open_method
from tuningfork.metrics import open_metric
from tuningfork.predict import predict
from tuningfork.predict.prompt import words_of
from tuningfork.task import Columns, Example, Sources, Task
from worker import work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: model, learn (text, label), test (texts), seed."""
    model, device, dtype = open_model(job["model"], "float32")
    labels = tuple(sorted({row["label"] for row in job["learn"]}))
    task = Task("pairs", "classification", Sources("train.jsonl"), Columns(("text",), "label"), "", labels)
    train = tuple(Example(f"e{i}", {"text": row["text"]}, row["label"]) for i, row in enumerate(job["learn"]))
    models = {job["model"]: model}
    share = Share(10**9, 10**9, 3600.0)
    bench = Bench(task, train, (), models, open_metric("accuracy"), lambda: share, seed=job["seed"])
    method = open_method("contrastive")
    start = time.perf_counter()
    made = method(Single(job["model"], labels, words_of(labels)), bench)
    seconds = time.perf_counter() - start
    said = [prediction.answer for prediction in predict(made, models, [{"text": text} for text in job["test"]])]
    return {
        "seconds": seconds,
        "decisions": said,
        "device": device,
        "dtype": dtype,
        "versions": limit.versions(*PACKAGES),
    }


if __name__ == "__main__":
    work(answer)
