"""Fine-tuning: LoRA against TRL's SFTTrainer with PEFT; IA3, prefixes and all weights against Trainer with PEFT.

    python benchmarks/training.py DATA_FOLDER [--only CASES] [--again | --again-ours] [--items N]

Both sides move the same weights of the same model (LoRA of rank 8 on all linear layers, a prefix that starts at random)
for the same number of epochs over the same examples, in batches of 16 at the same rate; only training is timed, after a
small warm-up. Real tokens a second are those of all prompts and answers, without padding, over that time: the same
count for both sides, though ours reads what the prompts of a batch have in common once, and computes the labels' words
alone. Ours runs in the dtype that measuring chose; the peer in fp32, its default here, and in bf16. The limit counts
the distinct tokens of each batch.

What was trained is judged by one program, ours, on the same test items: the peer's adapter is read from its folder.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from typing import Any

import limit
from parts import Found, Parts, arguments, finish, judged, middle, opened, ours, rates_of, theirs
from prompts import Case, Reading, asked, lessons, right_answers

MODEL = "smollm2-135m"
SST2 = "Is this sentence from a movie review positive or negative?"
SAME = {"epochs": 3.0, "batch": 16, "seed": 0}
RECIPES: dict[str, Found] = {
    "lora": {"kind": "lora", "rank": 8, "alpha": 16.0, "learning_rate": 1e-3, **SAME},
    "full": {"kind": "full", "learning_rate": 5e-5, **SAME},
    "ia3": {"kind": "ia3", "learning_rate": 1e-2, **SAME},
    "prefix": {"kind": "prefix_tuning", "tokens": 16, "learning_rate": 1e-2, **SAME},
}
"""By the first word of a case's name."""
PEERS = {"lora": ("trl_lora", "TRL SFTTrainer and PEFT")}
TRAINER = ("peft_trainer", "transformers Trainer and PEFT")
"""The peer's program, and how the table names it."""
WAYS = {"full": 3}
"""How often the weights are gone through: forward, back, and for gradients of their own."""
DTYPES = {"float32": "fp32", "bfloat16": "bf16"}
EXAMPLES, TEST, RUNS = 128, 872, 3
CASES = {
    f"{name}-sst2-{short}": Case("sst2", "classification", SST2, ("text", "label"), 0, EXAMPLES, bar=bar, goal=goal)
    for name, short, bar, goal in (
        ("lora", "fp32", 0.4, 8),
        ("lora", "bf16", 0.4, 5),
        *((name, "fp32", 0.0, 1) for name in ("full", "ia3", "prefix")),
    )
}


def main() -> None:
    """Run what is asked for and print a table, then one JSON line."""
    options = arguments(__doc__, CASES)
    if options.quick:
        sys.exit("training has no quick run: tests/engine hold the answers, and a step takes its time.")
    parts = opened("training", options)
    rows, facts = [], []
    for name in options.only:
        row, used = run(name, CASES[name], parts, options)
        rows.append(row)
        facts += used
    finish(parts, rows, facts)


def run(name: str, case: Case, parts: Parts, options: Namespace) -> tuple[Found, list[Found]]:
    """All parts of a case, and its row."""
    reading, recipe = Reading(MODEL), RECIPES[name.split("-")[0]]
    learnt, targets = lessons(case, options.folder, options.items or case.items)
    test = asked(case, options.folder, min(options.items or TEST, TEST))
    right = right_answers(case, options.folder, len(test.prompts))
    ids = reading.ids(learnt.prompts)
    parts.about(name, case, ids, recipe)
    dtype = next(long for long, short in DTYPES.items() if name.endswith(short))
    job = {"model": MODEL, "dtype": None, "recipe": recipe, "test": test.jobs(test.prompts)}
    items = [{**item, "target": target} for item, target in zip(learnt.jobs(learnt.prompts), targets, strict=True)]
    own_job = {**job, "items": items, "warm": items[:16]}

    def own(number: int) -> Found:
        return parts.get(name, f"ours-{number}", lambda: ours("tune", own_job))

    runs = [own(1)]
    device = runs[0]["device"]
    texts = [
        [text, f"{target}{reading.closing}"]
        for text, target in zip(reading.texts(learnt.prompts), targets, strict=True)
    ]
    peer = parts.get(name, "peer", lambda: trained_by_peer(name, reading, texts, dtype, device, job))
    runs += [own(number) for number in range(2, RUNS + 1)]
    return row_of(name, case, runs, peer, ids, reading, right), [*runs, peer]


def trained_by_peer(name: str, reading: Reading, texts: list[list[str]], dtype: str, device: str, job: Found) -> Found:
    """The peer's training, and what its adapter says of the test items."""
    with tempfile.TemporaryDirectory() as place:
        peer = theirs(
            PEERS.get(name.split("-")[0], TRAINER)[0],
            {
                "folder": str(reading.folder),
                "device": device,
                "dtype": dtype,
                "items": texts,
                "warm": texts[:16],
                "recipe": job["recipe"],
                "out": place,
            },
        )
        return {**peer, **ours("tune", {**job, "adapter": place})}


def row_of(
    name: str, case: Case, runs: list[Found], peer: Found, ids: list[Any], reading: Reading, right: list[int]
) -> Found:
    """The case as the JSON shows it."""
    dtype = runs[0]["dtype"]
    shape, rates = limit.shape_of(reading.folder, dtype), rates_of(runs)
    way, recipe = name.split("-")[0], RECIPES[name.split("-")[0]]
    phase = limit.of_training(ids, [1] * len(ids), int(recipe["batch"]), int(recipe["epochs"]), times=WAYS.get(way, 2))
    least = limit.limit_seconds(shape, [phase], rates, dtype)
    tokens = peer["tokens"]
    own, other = tokens / middle(runs), tokens / peer["seconds"]
    ours_right = [found == wanted for found, wanted in zip(runs[0]["decisions"], right, strict=True)]
    theirs_right = [found == wanted for found, wanted in zip(peer["decisions"], right, strict=True)]
    row = judged(
        {
            "case": name,
            "unit": "tokens/s",
            "ours": own,
            "peer": f"{PEERS.get(way, TRAINER)[1]}, {name.rpartition('-')[2]}",
            "theirs": other,
            "ratio": own / other,
            "limit": tokens / least,
            "limit_fraction": least / middle(runs),
            "same_answers": sum(a == b for a, b in zip(runs[0]["decisions"], peer["decisions"], strict=True))
            / len(right),
        },
        case.bar,
        case.goal,
    )
    return {
        **row,
        "accuracy": {"ours": mean(ours_right), "theirs": mean(theirs_right), "items": len(right)},
        "not_worse": not_worse(ours_right, theirs_right),
        "items": len(ids),
        "shots": 0,
        "dtype": dtype,
        "ours_runs": [part["seconds"] for part in runs],
        "mib_above_weights": runs[0]["mib_above_weights"],
        "recipe": recipe,
        "losses": {"ours": runs[0]["losses"], "theirs": peer["losses"]},
        "tokens_read": runs[0]["tokens_trained"],
        "weights_without_embeddings": shape.weights,
        "rates": {"gflops": rates.gflops[limit.SHORT[dtype]], "gib_per_s": rates.gib_per_s},
        "phases": limit.shown(shape, [phase], rates, dtype),
        "when": runs[0]["when"],
        "commit": runs[0]["commit"],
    }


def mean(values: list[bool]) -> float:
    return sum(values) / len(values)


def not_worse(own: list[bool], other: list[bool]) -> Found:
    """The paired 95% interval of our accuracy less theirs, in points, and whether its lower end lies above -1."""
    from tuningfork.stats.paired import difference

    found = difference([float(x) for x in own], [float(x) for x in other])
    low, high = 100 * found.low, 100 * found.high
    return {"difference": 100 * found.value, "low": low, "high": high, "shown": low > -1.0}


if __name__ == "__main__":
    main()
