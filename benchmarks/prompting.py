"""The prompting roads of today against plain few_shot+calibrate as it was before they were searched.

    python benchmarks/prompting.py DATA_FOLDER [--quick] [--only CASES] [--again | --again-ours] [--items N]

Each case races the prompting roads on smollm2-135m in the light budget, takes the one that its own race chose on dev,
and asks it about test items. The other side is one road of its own race: three draws of two examples a label, chosen on
hold alone, with batch calibration; settings say all of it. Both see the same draw of train examples, 64 a label (for
Banking77 the ten a label of its file), and the same test items. A row is a dataset: the mean difference item by item
over three draws, with its paired 95% interval. The bar: nowhere worse, which is that the lower end lies above -1 point,
and two points better on two of the four.

`--quick` runs the first draw of the cases asked for in a budget of two minutes, on 50 items, and keeps nothing.
"""

from __future__ import annotations

import json
from typing import Any

from parts import Found, Parts, arguments, opened, ours
from tuningfork.stats.paired import difference

MODELS = ("smollm2-135m", "minilm-l6")
PLAIN = "few_shot(per_class=2, most=16, draws=3, orders=1, train_too=false)"
BEFORE = (PLAIN, f"{PLAIN}+calibrate(how=batch)")
"""The first is raced only so that the second starts from it with a share of its own, as it did."""
ROADS = (
    "few_shot",
    "few_shot+calibrate",
    "nearest_shots",
    "nearest_shots+calibrate",
    "many_shot+calibrate",
    "prompt_search+calibrate",
)
CASES: dict[str, dict[str, Any]] = {
    "sst2": {"data": "sst2", "per_class": 64},
    "ag_news": {"data": "ag_news", "per_class": 64},
    "tweet_eval_emotion": {"data": "tweet_eval_emotion", "per_class": 64},
    "banking77": {"data": "banking77", "train": "train_10shot.jsonl"},
}
DRAWS = 3
ITEMS = 600
NOT_WORSE, BETTER, BETTER_ON = -0.01, 0.02, 2


def main() -> None:
    """Run what is asked for and print a row a case, then one JSON line."""
    options = arguments(__doc__, CASES)
    if options.quick:
        options.items = options.items or 50
    parts = opened("prompting", options)
    rows = [row_of(name, parts, options) for name in options.only]
    for row in rows:
        print(line(row))
    summary = {"benchmark": "prompting", "quick": options.quick, "rows": rows, "holds": holds(rows)}
    parts.write(summary)
    print(json.dumps(summary))


def row_of(name: str, parts: Parts, options: Any) -> Found:
    """Both sides of every draw, and what came of them."""
    items = options.items or ITEMS
    budget: Any = 120 if options.quick else "light"
    parts.about(name, CASES[name], ROADS, BEFORE, MODELS, budget, items)
    sides: dict[str, list[Found]] = {"today": [], "before": []}
    for draw in range(1 if options.quick else DRAWS):
        for side, roads, road in (("today", ROADS, None), ("before", BEFORE, f"{BEFORE[1]}@{MODELS[0]}")):
            job = {
                "folder": str(options.folder.resolve()),
                "case": {**CASES[name], "seed": draw},
                "roads": list(roads),
                "road": road,
                "models": list(MODELS),
                "budget": budget,
                "items": items,
            }
            sides[side].append(parts.get(name, f"{side}-{draw}", lambda job=job: ours("prompting", job)))
    today, before = (means([part["right"] for part in sides[side]]) for side in ("today", "before"))
    gap = difference(today, before)
    return {
        "case": name,
        "today": sum(today) / len(today),
        "before": sum(before) / len(before),
        "difference": gap.value,
        "low": gap.low,
        "high": gap.high,
        "items": len(today),
        "draws": len(sides["today"]),
        "roads": [part["road"] for part in sides["today"]],
    }


def means(rights: list[list[int]]) -> list[float]:
    """Of each item over the draws."""
    return [sum(column) / len(column) for column in zip(*rights, strict=True)]


def holds(rows: list[Found]) -> bool | None:
    """The bar, once all cases are there."""
    if len(rows) < len(CASES):
        return None
    better = sum(row["difference"] >= BETTER for row in rows)
    return all(row["low"] > NOT_WORSE for row in rows) and better >= BETTER_ON


def line(row: Found) -> str:
    """A row for people."""
    return (
        f"{row['case']:20} today {row['today']:.3f}, before {row['before']:.3f}: {row['difference']:+.3f} "
        f"({row['low']:+.3f} to {row['high']:+.3f}, {row['items']} items, {row['draws']} draws); "
        f"roads {', '.join(row['roads'])}"
    )


if __name__ == "__main__":
    main()
