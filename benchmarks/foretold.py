"""Learning curves of real roads on public datasets, and what the forecast said of their last point before it was seen.

A curve is one road on one dataset: 8, 16, 32 and 64 examples a label, each under three seeds that draw other examples,
measured on the same 500 test rows. From the points up to 32 a label, and up to 16, the value at 64 is foretold. Every
point is kept when it is done.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from main_job import INSTRUCTIONS
from parts import Found, Parts, read
from tuningfork.candidate import Candidate
from tuningfork.method import Bench, Share, no_model
from tuningfork.methods import open_method
from tuningfork.metrics import open_metric
from tuningfork.models import capabilities, open_model
from tuningfork.predict import predict
from tuningfork.race.plan import trials
from tuningfork.stats.curves import forecast
from tuningfork.task import Columns, Example, Sources, Task

DATASETS = {
    **{name: INSTRUCTIONS[name] for name in ("sst2", "sms_spam", "tweet_eval_emotion")},
    "ag_news": "What is this news about?",
}
ROADS = ("head@minilm-l6", "label_similarity@minilm-l6", "lora@minilm-l6", "lora@smollm2-135m")
SIZES = (8, 16, 32, 64)
SEEDS = (0, 1, 2)
TEST = 500
HOLD_SHARE = 0.2
CONFIDENCE = 0.9
MAXIMUM = Share(10**9, 2 * 10**6, 1200.0)
"""Enough to train until it no longer helps."""


def foretold(folder: Path, only: tuple[str, ...] = tuple(DATASETS), roads: tuple[str, ...] = ROADS) -> Found:
    """Measure what is not kept yet, and compare the forecasts with what came."""
    parts = Parts("forecast")
    curves = {}
    for name in only:
        for road in roads:
            curves[name, road] = [
                (found["examples"], found["value"])
                for size in SIZES
                for seed in SEEDS
                for found in [
                    parts.get(
                        f"{name}-{road}",
                        f"{size}-{seed}",
                        lambda s=size, r=seed, n=name, w=road: point(folder, n, w, s, r),
                    )
                ]
            ]
    back = {f"from_{size}": _compared(curves, size) for size in (32, 16)}
    one = back["from_32"]
    goal = "one doubling ahead: interval of 90% covers >= 85%, median width <= 12 points, mean error <= 2.6"
    holds = one["covered"] >= 0.85 and one["median_width"] <= 0.12 and one["mean_miss"] <= 0.026
    return {"case": "forecast", "goal": goal, "holds": holds, "curves": len(curves), **_flat(back)}


def _compared(curves: dict[tuple[str, str], list[tuple[int, float]]], size: int) -> Found:
    """Over all curves: how far the value at the last size was missed, and how often the interval held it."""
    misses, held, widths = [], [], []
    for points in curves.values():
        last = max(n for n, _ in points)
        came = mean(value for n, value in points if n == last)
        said = forecast(
            [(n, v) for n, v in points if n * SIZES[-1] <= last * size],
            last,
            confidence=CONFIDENCE,
            error=(came * (1 - came) / TEST) ** 0.5,
        )
        misses.append(abs(said.value - came))
        held.append(said.low <= came <= said.high)
        widths.append(said.high - said.low)
    return {
        "mean_miss": mean(misses),
        "largest_miss": max(misses),
        "covered": mean(held),
        "median_width": median(widths),
    }


def _flat(back: dict[str, Found]) -> Found:
    return {f"{start}_{name}": value for start, found in back.items() for name, value in found.items()}


def point(folder: Path, name: str, road: str, size: int, seed: int) -> Found:
    """One road, taught so many examples a label, on the test rows."""
    train, test = (_examples(folder, name, part) for part in ("train", "test"))
    labels = tuple(sorted({e.answer for e in train}))
    rng = random.Random(f"{name} {size} {seed}")
    drawn = [e for label in labels for e in rng.sample([e for e in train if e.answer == label], size)]
    rng.shuffle(drawn)
    cut = max(len(labels), round(HOLD_SHARE * len(drawn)))
    task = Task(
        name, "classification", Sources("-"), Columns(("text",), "label"), DATASETS[name], labels, ("accuracy",)
    )
    value = _accuracy(
        task, road, tuple(drawn[cut:]), tuple(drawn[:cut]), random.Random(name).sample(test, min(TEST, len(test))), seed
    )
    return {"examples": len(drawn), "value": value}


def _accuracy(task: Task, road: str, train: Any, hold: Any, test: list[Example], seed: int) -> float:
    method, _, model = road.partition("@")
    models, metric = {model: open_model(model)}, open_metric("accuracy")
    able = {model: capabilities(model)}
    found, _ = trials(replace(task, models=(model,)), [open_method(method)], able)
    start: Candidate = found[0].start if found else no_model(task.labels)
    bench = Bench(task, train, hold, models, metric, lambda: MAXIMUM, seed, capabilities=able)
    candidate = found[0].method(start, bench)
    answers = predict(candidate, models, [e.inputs for e in test])
    return mean(0.0 if p.failure else metric.item(e, p) for e, p in zip(test, answers, strict=True))


def _examples(folder: Path, name: str, part: str) -> list[Example]:
    return [
        Example(f"{part}{i}", {"text": row["text"]}, str(row["label"]))
        for i, row in enumerate(read(folder / name / f"{part}.jsonl"))
    ]
