"""One race of prompting roads, and what the road that it chose on dev says of test items."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import tuningfork
from main_job import read, write_task
from tuningfork.log import Finalists, RunLog
from worker import say, work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, case (as main_job's), roads, road (whose answers are wanted; None: the one that did best on dev),
    models, budget, items. `right`: 0 or 1 for each test item, in an order by seed that is the same for all roads of a
    dataset."""
    about, source = job["case"], Path(job["folder"]) / job["case"]["data"]
    with tempfile.TemporaryDirectory() as place:
        task = write_task(Path(place), source, about)
        start = time.perf_counter()
        run = tuningfork.compare(
            task,
            methods=job["roads"],
            models=job["models"],
            budget=job["budget"],
            seed=about["seed"],
            runs=Path(place) / "runs",
            cache=False,
        )
        seconds = time.perf_counter() - start
        on_dev = means(run.log)
        if not on_dev or job["road"] not in (None, *on_dev):
            raise SystemExit(f"{job['road'] or 'Every road'} came to nothing in this budget: {run.verdict.sentence}")
        road = job["road"] or max(on_dev, key=lambda trial: on_dev[trial])
        say(f"{road} {on_dev[road]:.3f} on dev, raced in {seconds:.0f} s")
        rows = list(read(source / "test.jsonl"))
        rows = random.Random("prompting").sample(rows, min(len(rows), job["items"]))
        answers = run.trial(road).predict([row["text"] for row in rows])
        born = run.log.born(road)
        return {
            "road": road,
            "dev": on_dev,
            "right": [int(p.answer == row["label"]) for p, row in zip(answers, rows, strict=True)],
            "seconds": round(seconds, 1),
            "notes": dict(born.notes) if born else {},
            "rates": run.log.started.plan["rates"],
        }


def means(log: RunLog) -> dict[str, float]:
    """Of the finalists, their accuracy on the dev items that all of them were asked; the race's own order. Those that
    are no finalists were shown worse, or had no time."""
    finalists = [event for event in log.events if isinstance(event, Finalists)]
    results = {trial: log.results("dev").get(trial, {}) for trial in (finalists[-1].trials if finalists else ())}
    common = set.intersection(*(set(rows) for rows in results.values())) if results else set()
    return {
        trial: sum(rows[item].score or 0.0 for item in common) / max(1, len(common)) for trial, rows in results.items()
    }


if __name__ == "__main__":
    work(answer)
