"""A cascade with a guarantee: a linear head on minilm-l6 before LoRA on smollm2-135m, on two tasks.

    python benchmarks/cascade.py DATA_FOLDER [--only sst2,ag_news] [--again] [--quick]

Both candidates are made by our methods from the same drawn rows and answer one pool of rows that neither has seen; what
they said is kept, numbers only, in benchmarks/results/cascade.json. From these the pool is dealt anew 100 times, into
rows on which the threshold is chosen by `methods/cascade.py` and rows on which it is tested. `--quick` deals anew from
what is kept and opens no model.

What must hold: at the median the cascade is at most 1 point under the better candidate at half its cost or less (cost:
seconds an item as measured here, each model alone), and in 95 of 100 dealings it loses no more on the test rows than
the guarantee says. That is more than is promised: the promise is of the loss on all there is, at a risk of 0.1, and a
loss on some 1,200 rows has chance in it; so the loss on the whole pool is shown beside it. Where no threshold is shown,
the dear one answers alone, which loses nothing and saves nothing.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from parts import Found, Parts, arguments, opened, ours, read
from tuningfork.candidate import Prediction
from tuningfork.errors import MethodError
from tuningfork.methods.cascade import choose
from tuningfork.predict.cascade import sure

DEALINGS, CHOOSE_ON = 100, 600
EPSILON, DELTA = 0.01, 0.1
POINTS_UNDER, COST, KEPT = 1.0, 0.5, 95
CHEAP, DEAR = ("head", "minilm-l6"), ("lora(epochs=3)", "smollm2-135m")


@dataclass(frozen=True)
class Case:
    """A task: where it lies, what is asked, and how many rows of the train file join the test file's in the pool."""

    data: str
    instruction: str
    pool_of_train: int
    learn: int = 512
    hold: int = 64


CASES = {
    "sst2": Case("sst2", "Is this sentence from a movie review positive or negative?", 0),
    "ag_news": Case("ag_news", "Which section of the newspaper is this from?", 800),
}


def main() -> None:
    """Run what is asked for and print a line a task, then one JSON line."""
    options = arguments(__doc__, CASES)
    parts = opened("cascade", options)
    rows = []
    for name in options.only:
        cheap, dear = (said(name, CASES[name], side, options, parts) for side in ("cheap", "dear"))
        rows.append(row_of(name, cheap, dear))
        print(line(rows[-1]))
    summary = {"benchmark": "cascade", "quick": options.quick, "rows": rows}
    if not options.quick:
        parts.write(summary)
    print(json.dumps(summary))


def said(name: str, case: Case, side: str, options: Any, parts: Parts) -> Found:
    """What a candidate said of the pool, as it is kept, or made now."""
    method, model = CHEAP if side == "cheap" else DEAR
    if options.quick:
        found = parts.kept.get(f"{name}/{side}")
        return found or sys.exit(f"nothing is kept of {name}: run it once without --quick")
    job = {"method": method, "model": model, "instruction": case.instruction, **dealt(case, options.folder)}
    parts.about(name, case, CHEAP, DEAR)
    return parts.get(name, side, lambda: ours("adapted", job))


def dealt(case: Case, folder: Path) -> Found:
    """The rows to learn from, to stop by, and to answer, drawn once."""
    train, test = (read(folder / case.data / f"{file}.jsonl") for file in ("train", "test"))
    rows = [[row["text"], row["label"]] for row in train]
    random.Random("cascade").shuffle(rows)
    end = case.learn + case.hold
    pool = [*([row["text"], row["label"]] for row in test), *rows[end : end + case.pool_of_train]]
    labels = sorted({row["label"] for row in train})
    return {"labels": labels, "learn": rows[: case.learn], "hold": rows[case.learn : end], "pool": pool}


def row_of(name: str, cheap: Found, dear: Found) -> Found:
    """A task's 100 dealings against what must hold."""
    right = [[int(sign) for sign in side["right"]] for side in (cheap, dear)]
    predictions = [Prediction("", confidence=value) for value in cheap["confidence"]]
    cost = cheap["seconds"] / dear["seconds"]
    found = [dealing(right[0], right[1], predictions, cost, seed) for seed in range(DEALINGS)]
    better = max(right, key=sum)
    under = median(100 * (one["better"] - one["cascade"]) for one in found)
    spent, kept = median(one["cost"] for one in found), sum(one["lost"] <= EPSILON for one in found)
    of_pool = sum(one["lost_of_pool"] <= EPSILON for one in found)
    return {
        "case": name,
        "items": len(predictions),
        "cheap": 100 * sum(right[0]) / len(predictions),
        "dear": 100 * sum(right[1]) / len(predictions),
        "better": "dear" if better is right[1] else "cheap",
        "cheap_cost": cost,
        "cheap_tokens": cheap["tokens"] / dear["tokens"],
        "shown": sum(one["threshold"] is not None for one in found),
        "points_under_better": under,
        "cost": spent,
        "guarantee_kept": kept,
        "guarantee_kept_on_pool": of_pool,
        "points_lost_most": 100 * max(one["lost"] for one in found),
        "holds": under <= POINTS_UNDER and spent <= COST and kept >= KEPT * DEALINGS / 100,
    }


def dealing(cheap: list[int], dear: list[int], said_: list[Prediction], cost: float, seed: int) -> Found:
    """One dealing: a threshold chosen on some rows, tested on the others. `lost`: accuracy of the dear one less that of
    the cascade there."""
    order = random.Random(f"deal {seed}").sample(range(len(cheap)), len(cheap))
    hold, test = order[:CHOOSE_ON], order[CHOOSE_ON:]
    gaps = [float(dear[i] - cheap[i]) for i in hold]
    try:
        threshold: float | None = choose([said_[i] for i in hold], gaps, cost, EPSILON, DELTA)[0]
    except MethodError:
        threshold = None
    keeps = [threshold is not None and sure(p, threshold) for p in said_]
    lost = [(d - c) * keep for c, d, keep in zip(cheap, dear, keeps, strict=True)]
    alone = [sum(side[i] for i in test) / len(test) for side in (cheap, dear)]
    lost_on_test = sum(lost[i] for i in test) / len(test)
    return {
        "threshold": threshold,
        "cascade": alone[1] - lost_on_test,
        "better": max(alone),
        "lost": lost_on_test,
        "lost_of_pool": sum(lost) / len(lost),
        "cost": 1.0 if threshold is None else cost + 1 - sum(keeps[i] for i in test) / len(test),
    }


def line(row: Found) -> str:
    """A row for people."""
    return (
        f"{row['case']:8} cheap {row['cheap']:.1f}, dear {row['dear']:.1f}; shown in {row['shown']} of {DEALINGS}; at "
        f"the median {row['points_under_better']:.2f} points under the better at {row['cost']:.2f} of the dear one's "
        f"cost; guarantee kept in {row['guarantee_kept']} ({row['guarantee_kept_on_pool']} on all rows): "
        f"{'holds' if row['holds'] else 'missed'}"
    )


if __name__ == "__main__":
    main()
