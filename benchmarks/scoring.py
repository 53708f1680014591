"""Few-shot classification by scoring every label, against lm-evaluation-harness.

    python benchmarks/scoring.py DATA_FOLDER [--quick] [--only CASES] [--again | --again-ours] [--items N]

Both sides read the same tokens (checked by the peer's process) with the same model in the same dtype; only answering is
timed, after one small warm-up. Ours is the median of three runs, each in a process of its own; the peer, which takes
minutes, runs once, between the first two of ours, with the batch size that was fastest on a part of the case. How far
our log-probabilities are from plain transformers is measured in fp32, one sequence at a time.

`--quick` needs no peer: our side on a few items, and the same answers as plain transformers.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import limit
from parts import (
    Found,
    PartFailed,
    Parts,
    arguments,
    finish,
    judged,
    middle,
    must_have_read,
    opened,
    ours,
    part_as_bf16_may,
    plainly,
    rates_of,
    theirs,
)
from prompts import Asked, Case, Reading, asked

MODEL = "smollm2-135m"
PEER = "lm-eval 0.4.13"
BATCHES = (8, 1, 16, 32, "auto")
SEARCH_CHOICES = 32
"""Sequences that each batch size is tried on, at least: the largest batch is full."""
RUNS = 3
CHECKED = 8
SST2 = "Is this sentence from a movie review positive or negative?"
BANKING77 = "Which intent does this question to a bank have?"
CASES = {
    "sst2-32-shot": Case("sst2", "classification", SST2, ("text", "label"), 32, 200, bar=0.5, goal=60),
    "sst2-64-shot": Case("sst2", "classification", SST2, ("text", "label"), 64, 200, bar=0.5, goal=100),
    "banking77": Case(
        "banking77", "classification", BANKING77, ("text", "label"), 16, 100, bar=0.4, goal=200, peer_items=5
    ),
}
NATS = 1e-3
"""How far our log-probabilities may be from plain transformers' in fp32."""
MEMORY_BAR_MIB = {"sst2-64-shot": 1024.0}
"""Above the weights."""


def main() -> None:
    """Run what is asked for and print a table, then one JSON line."""
    options = arguments(__doc__, CASES)
    if options.quick:
        from quick import scoring

        scoring({name: CASES[name] for name in options.only}, options.folder, MODEL)
        return
    parts = opened("scoring", options)
    rows, facts = [], []
    for name in options.only:
        row, used = run(name, CASES[name], parts, options)
        rows.append(row)
        facts += used
    finish(parts, rows, facts)


def run(name: str, case: Case, parts: Parts, options: Namespace) -> tuple[Found, list[Found]]:
    """All parts of a case, and its row."""
    reading = Reading(MODEL)
    count = options.items or case.items
    questions = asked(case, options.folder, count)
    ids = reading.ids(questions.prompts)
    choices = reading.choices(questions.prompts, questions.words)
    few = min(count, case.peer_items or count)
    parts.about(name, case, ids, choices)

    def own(run_number: int) -> Found:
        return parts.get(name, f"ours-{run_number}", lambda: decided(same_cut(name, answered(questions), choices)))

    runs = [own(1)]
    dtype, device = runs[0]["dtype"], runs[0]["device"]
    base = {
        "folder": str(reading.folder),
        "device": device,
        "dtype": dtype,
        "warm": peer_items(reading, questions.warm[:1], questions.words[:2]),
    }
    items = peer_items(reading, questions.prompts[:few], questions.words)
    search = parts.get(name, "peer-batch", lambda: best_batch(base, items))
    job = {**base, "batch": search["batch"], "items": items}
    peer = parts.get(name, "peer", lambda: decided(theirs("lm_eval_score", job)))
    runs += [own(number) for number in range(2, RUNS + 1)]
    check = parts.get(name, "check", lambda: checked(case, questions, base, ids, choices, runs[0], peer))
    phase = limit.of_scoring(ids, choices)
    must_have_read(name, runs, phase.tokens)
    return row_of(name, case, runs, peer, check, phase, reading, (count, few)), [*runs, peer]


def answered(questions: Asked, dtype: str | None = None, measure: bool = True) -> Found:
    """Our side in a process of its own."""
    return ours(
        "score",
        {
            "model": MODEL,
            "dtype": dtype,
            "items": questions.jobs(questions.prompts),
            "warm": questions.jobs(questions.warm),
            "measure": measure,
        },
    )


def same_cut(name: str, found: Found, choices: list[list[list[int]]]) -> Found:
    """Ends the benchmark where our side reads a choice as more or fewer tokens than were counted."""
    if found.pop("tokens") != [list(map(len, words)) for words in choices]:
        raise SystemExit(f"{name}: our side cuts a choice into other tokens than its tokenizer does.")
    return found


def decided(found: Found) -> Found:
    """To keep: which choice is the likeliest, the first of equals, instead of every choice's log-probability."""
    return {**found, "decisions": [max(range(len(nats)), key=nats.__getitem__) for nats in found.pop("nats")]}


def peer_items(reading: Reading, prompts: list[Any], words: tuple[str, ...]) -> list[Any]:
    """Context, choices, and the ids that we read for each: what the peer is asked, and must read too."""
    texts, ids, own = reading.texts(prompts), reading.ids(prompts), reading.choices(prompts, words)
    return [
        (text, words, [[*before, *after] for after in choices])
        for text, before, choices in zip(texts, ids, own, strict=True)
    ]


def best_batch(base: Found, items: list[Any]) -> Found:
    """The peer's fastest batch size on a part of the case. One that fails for want of memory, or takes far longer than
    the best so far, is out."""
    one_token = all(len(choice) == len(items[0][2][0]) for choice in items[0][2])
    few = items[: SEARCH_CHOICES if one_token else 1 + SEARCH_CHOICES // len(items[0][1])]
    found: dict[str, Any] = {}
    times: dict[Any, float] = {}
    for batch in BATCHES:
        patience = 90 + 3 * min(times.values()) if times else 590
        try:
            times[batch] = theirs("lm_eval_score", {**base, "batch": batch, "items": few}, patience)["seconds"]
            found[str(batch)] = times[batch]
        except PartFailed as error:
            found[str(batch)] = str(error)
        print(f"    batch size {batch}: {found[str(batch)]} (s for {len(few)} items)", flush=True)
    if not times:
        raise SystemExit("The peer failed with every batch size; what it said stands above.")
    return {"batch": min(times, key=times.__getitem__), "tried": found, "items": len(few)}


def checked(
    case: Case, questions: Asked, base: Found, ids: list[Any], choices: list[Any], own: Found, peer: Found
) -> Found:
    """How far ours is from plain transformers in fp32, how far bf16 moves plain transformers itself, and whether the
    two sides' decisions part only where that could part them."""
    decisions = list(zip(own["decisions"], peer["decisions"], strict=False))
    parted = [index for index, (a, b) in enumerate(decisions) if a != b]
    step = max(1, len(choices[0]) // case.checked_choices)
    some = list(range(0, len(choices[0]), step))[: case.checked_choices]
    fixed = [(index, some) for index in spread(len(ids), CHECKED)]
    entries = fixed + [(index, list(decisions[index])) for index in parted]
    job = {"items": [(ids[index], [choices[index][c] for c in which]) for index, which in entries]}
    plain = theirs("plain_scores", {**base, **job, "dtypes": ["float32", base["dtype"]]})
    exact, coarse = plain["float32"], plain[base["dtype"]]
    few = Asked([questions.prompts[index] for index, _ in fixed], questions.words, questions.warm)
    ours_exact = [[nats[c] for c in some] for nats in answered(few, "float32", measure=False)["nats"]]
    moved = [[b - a for a, b in zip(*pair, strict=True)] for pair in zip(exact, coarse, strict=True)]
    floor = max(max(row) - min(row) for row in moved[: len(fixed)])
    margins = [row[0] - row[1] for row in exact[len(fixed) :]]
    return {
        "fp32_nats_apart": max(
            abs(a - b) for x, y in zip(ours_exact, exact, strict=False) for a, b in zip(x, y, strict=True)
        ),
        "fp32_items": len(fixed),
        "fp32_choices": len(some),
        "decisions": len(decisions),
        "differ": len(parted),
        "noise_floor_nats": floor,
        "differ_under_floor": sum(abs(margin) <= floor for margin in margins),
        "differ_fp32_agrees_with_ours": sum(margin > 0 for margin in margins),
    }


def row_of(
    name: str,
    case: Case,
    runs: list[Found],
    peer: Found,
    check: Found,
    phase: limit.Phase,
    reading: Reading,
    counts: tuple[int, int],
) -> Found:
    """The case as the JSON shows it."""
    count, few = counts
    each = case.peer_items is not None  # ours has more items than the peer's: both are given an item
    dtype = runs[0]["dtype"]
    shape, rates = limit.shape_of(reading.folder, dtype), rates_of(runs)
    own = middle(runs) / (count if each else 1)
    other = peer["seconds"] / (few if each else 1)
    least = limit.limit_seconds(shape, [phase], rates, dtype) / (count if each else 1)
    row = judged(
        {
            "case": name,
            "unit": "s/item" if each else "s",
            "ours": own,
            "peer": f"{PEER}, hf, {limit.SHORT[dtype]}, batch size {peer['batch']}",
            "theirs": other,
            "ratio": other / own,
            "limit": least,
            "limit_fraction": least / own,
            "same_answers": 1 - check["differ"] / check["decisions"],
        },
        case.bar,
        case.goal,
    )
    memory = memory_of(name, runs)
    return {
        **row,
        **memory,
        "answers_hold": answers_hold(check),
        "holds": row["holds"] and memory.get("memory_holds", True) and answers_hold(check),
        "items": count,
        "peer_items": few,
        "shots": case.shots,
        "dtype": dtype,
        "ours_runs": [part["seconds"] for part in runs],
        "peer_runs": 1,
        "same_tokens": peer["same_tokens"],
        "check": plainly(check),
        "tokens_read": runs[0]["tokens_in"],
        "weights_without_embeddings": shape.weights,
        "rates": {"gflops": rates.gflops[limit.SHORT[dtype]], "gib_per_s": rates.gib_per_s},
        "phases": limit.shown(shape, [phase], rates, dtype),
        "when": runs[0]["when"],
        "commit": runs[0]["commit"],
    }


def answers_hold(check: Found) -> bool:
    """Whether our log-probabilities are plain transformers' in fp32, and decisions part as bf16 may."""
    return check["fp32_nats_apart"] <= NATS and part_as_bf16_may(check, check["decisions"])


def memory_of(name: str, runs: list[Found]) -> Found:
    """The most that any run held above its weights, and what it may hold at most."""
    found = [part["mib_above_weights"] for part in runs]
    most = None if None in found else max(found)
    if name not in MEMORY_BAR_MIB:
        return {"mib_above_weights": most}
    bar = MEMORY_BAR_MIB[name]
    return {"mib_above_weights": most, "memory_bar_mib": bar, "memory_holds": most is not None and most <= bar}


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` indices, evenly over `count`, or all."""
    return [i * count // wanted for i in range(wanted)] if count > wanted else list(range(count))


if __name__ == "__main__":
    main()
