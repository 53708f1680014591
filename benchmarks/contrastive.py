"""Contrastive tuning of a sentence encoder, against sentence-transformers' own loop on pairs with a head.

    python benchmarks/contrastive.py DATA_FOLDER [--only CASES] [--again | --again-ours] [--items N]

SetFit is not installed here: its recipe (Tunstall et al. 2022) is written out with sentence-transformers, pairs drawn
as SetFit draws them, cosine loss, then scikit-learn's logistic regression. Both sides learn from the same rows at the
same rate in fp32; what is timed is tuning and fitting, without opening the model. Ours goes its own number of passes,
so the quality on the same test rows says whether fewer pairs were enough: not worse where the lower end of the paired
95% interval lies above -1 point.
"""

from __future__ import annotations

import json
import random
from argparse import Namespace
from pathlib import Path

from parts import Found, Parts, arguments, middle, opened, ours, read, theirs
from training import mean, not_worse
from tuningfork.models.bundled import folder_of

MODEL = "minilm-l6"
RATE, RUNS, TEST = 5e-5, 3, 1000
CASES = {f"{data}-{count}": (data, count) for data in ("sst2", "tweet_eval_emotion") for count in (8, 16, 64)}


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
    """Both sides of a case, and its row."""
    learn, test = drawn(options.folder / data, count, min(options.items or TEST, TEST))
    parts.about(name, MODEL, RATE, count, learn, [row["label"] for row in test])
    job = {"model": MODEL, "learn": learn, "test": [row["text"] for row in test], "rate": RATE}

    def own(number: int) -> Found:
        return parts.get(name, f"ours-{number}", lambda: ours("contrastive", {**job, "seed": number}))

    runs = [own(1)]
    peer_job = {**job, "folder": str(folder_of(MODEL)), "device": runs[0]["device"], "seed": 1}
    peer = parts.get(name, "peer", lambda: theirs("sentence_transformers_fit", peer_job))
    runs += [own(number) for number in range(2, RUNS + 1)]
    ours_right, theirs_right = (
        [said == row["label"] for said, row in zip(side["decisions"], test, strict=True)] for side in (runs[0], peer)
    )
    return {
        "case": name,
        "ours_seconds": middle(runs),
        "their_seconds": peer["seconds"],
        "ratio": peer["seconds"] / middle(runs),
        "accuracy": {"ours": mean(ours_right), "theirs": mean(theirs_right), "items": len(test)},
        "not_worse": not_worse(ours_right, theirs_right),
        "versions": {**runs[0]["versions"], **peer["versions"]},
        "when": runs[0]["when"],
        "commit": runs[0]["commit"],
    }


def drawn(folder: Path, count: int, items: int) -> tuple[list[Found], list[Found]]:
    """So many train rows of each label, and the first test rows."""
    rows = read(folder / "train.jsonl")
    learn: list[Found] = []
    for label in sorted({row["label"] for row in rows}):
        learn += random.Random(f"contrastive {label}").sample([r for r in rows if r["label"] == label], count)
    return learn, read(folder / "test.jsonl")[:items]


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
