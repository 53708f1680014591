"""Contrastive tuning of a sentence encoder, against SetFit.

    python benchmarks/contrastive.py DATA_FOLDER [--only CASES] [--again | --again-ours] [--items N]

Both sides take the same few rows of each label, drawn anew for each of five seeds, the same encoder, and their own
defaults: SetFit 1.x its pairs, rate and head, ours the method as a race runs it. What is timed is tuning and fitting,
without opening the model; both run in fp32 on a CPU. The quality is that on the same test rows, for each seed; not
worse where the lower end of the paired 95% interval, seeds and items crossed, lies above -1 point.
"""

from __future__ import annotations

import json
import random
from argparse import Namespace
from pathlib import Path
from statistics import mean

from parts import Found, Parts, arguments, middle, opened, ours, read, theirs
from tuningfork.models.bundled import folder_of
from tuningfork.stats.crossed import Ends, over_seeds
from tuningfork.stats.paired import difference

MODEL = "minilm-l6"
SEEDS, TEST = (0, 1, 2, 3, 4), 1000
GOAL = 3.0
SETFIT = "setfit/.venv"
"""Where the peer lives: it needs an older transformers."""
CASES = {f"{data}-{count}": (data, count) for data in ("sst2", "ag_news", "tweet_eval_emotion") for count in (8, 16)}


def main() -> None:
    """Run what is asked for, print a line a case and one JSON line."""
    options = arguments(__doc__, CASES)
    parts = opened("contrastive", options)
    rows = [run(name, *CASES[name], parts, options) for name in options.only]
    for row in rows:
        print(told(row))
    summary = {"benchmark": parts.name, "quick": False, "rows": rows}
    parts.write(summary)
    print(json.dumps(summary))


def run(name: str, data: str, count: int, parts: Parts, options: Namespace) -> Found:
    """Both sides of a case under every seed, and its row."""
    test = read(options.folder / data / "test.jsonl")[: min(options.items or TEST, TEST)]
    draws = {seed: drawn(options.folder / data, count, seed) for seed in SEEDS}
    right = [row["label"] for row in test]
    parts.about(name, MODEL, count, list(draws.values()), right)
    own, peer = [], []
    for seed in SEEDS:
        job = {"model": MODEL, "learn": draws[seed], "test": [row["text"] for row in test], "seed": seed}
        own.append(parts.get(name, f"ours-{seed}", lambda j=job: scored(ours("contrastive", j), right)))
        there = {**job, "folder": str(folder_of(MODEL)), "device": own[0]["device"]}
        peer.append(
            parts.get(name, f"peer-{seed}", lambda j=there: scored(theirs("setfit_fit", j, place=SETFIT), right))
        )
    gap = not_worse(own, peer)
    ratio = middle(peer) / middle(own)
    return {
        "case": name,
        "ours_seconds": middle(own),
        "their_seconds": middle(peer),
        "ratio": ratio,
        "accuracy": {"ours": accuracy(own), "theirs": accuracy(peer), "items": len(test), "seeds": len(SEEDS)},
        "not_worse": gap,
        "holds": gap["shown"] and ratio >= GOAL,
        "versions": {**own[0]["versions"], **peer[0]["versions"]},
        "when": own[0]["when"],
        "commit": own[0]["commit"],
    }


def drawn(folder: Path, count: int, seed: int) -> list[Found]:
    """So many train rows of each label."""
    rows = read(folder / "train.jsonl")
    learn: list[Found] = []
    for label in sorted({row["label"] for row in rows}):
        own = [row for row in rows if row["label"] == label]
        learn += random.Random(f"contrastive {label} {seed}").sample(own, count)
    return [{"text": row["text"], "label": row["label"]} for row in learn]


def scored(found: Found, right: list[str]) -> Found:
    """What a side said as one sign an item: a result holds no label of a dataset."""
    signs = "".join(str(int(said == wanted)) for said, wanted in zip(found.pop("decisions"), right, strict=True))
    return {**found, "right": signs}


def accuracy(runs: list[Found]) -> float:
    return mean(run["right"].count("1") / len(run["right"]) for run in runs)


def not_worse(own: list[Found], peer: list[Found]) -> Found:
    """Our accuracy less theirs in points, over seeds and items crossed, and whether its lower end lies above -1."""
    sides = [[[int(sign) for sign in run["right"]] for run in runs] for runs in (own, peer)]
    ours_items, their_items = ([mean(of_item) for of_item in zip(*side, strict=True)] for side in sides)
    found = difference(ours_items, their_items)
    gaps = [mean(a) - mean(b) for a, b in zip(*sides, strict=True)]
    ends = over_seeds(found.value, Ends(found.low, found.high, found.p), found.n, [gaps], (-1.0, 1.0))
    low, high = 100 * ends.low, 100 * ends.high
    return {"difference": 100 * found.value, "low": low, "high": high, "shown": low > -1.0}


def told(row: Found) -> str:
    """A row for people."""
    gap = row["not_worse"]
    return (
        f"{row['case']:24} ours {row['ours_seconds']:.1f} s, theirs {row['their_seconds']:.1f} s: {row['ratio']:.2f}x; "
        f"accuracy {row['accuracy']['ours']:.3f} and {row['accuracy']['theirs']:.3f}, difference "
        f"{gap['difference']:+.1f} points ({gap['low']:+.1f} to {gap['high']:+.1f}): "
        f"{'not worse' if gap['shown'] else 'not shown'}"
    )


if __name__ == "__main__":
    main()
