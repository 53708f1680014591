"""Few-shot chain of thought: many answers written at once, against transformers' `generate`.

    python benchmarks/generation.py DATA_FOLDER [--quick] [--again | --again-ours] [--items N]

Both sides write greedily after the same tokens, with the same model in the same dtype, until the answer ends or has 128
tokens; only answering is timed, after one small warm-up. The peer is tried with several batch sizes, all of them on the
whole case, and the best counts. Our runs, three in all, stand between the peer's; their median counts. Each side's
tokens a second are those that it wrote itself. Two bf16 programs part where two next tokens are equally likely, and
what follows is another text: `check` says whether every parting was such a one.

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
from scoring import spread

MODEL = "smollm2-135m"
PEER = "transformers 5.23.0 generate"
BATCHES = (16, 8, 32, 64)
RUNS = 3
CHECKED, CHECKED_TOKENS = 8, 32
MAX_TOKENS = 128
STEPS = "Solve the problem step by step. End with a line that holds #### and the number."
NAME = "gsm8k-8-shot"
CASES = {NAME: Case("gsm8k", "generation", STEPS, ("input", "output"), 8, 64, bar=0.3, goal=5)}


def main() -> None:
    """Run what is asked for and print a table, then one JSON line."""
    options = arguments(__doc__, CASES)
    if options.quick:
        from quick import generation

        generation(CASES[NAME], options.folder, MODEL, NAME, CHECKED_TOKENS)
        return
    parts = opened("generation", options)
    row, facts = run(CASES[NAME], parts, options)
    finish(parts, [row], facts)


def run(case: Case, parts: Parts, options: Namespace) -> tuple[Found, list[Found]]:
    """All parts of the case, and its row."""
    reading = Reading(MODEL)
    questions = asked(case, options.folder, options.items or case.items)
    ids = reading.ids(questions.prompts)
    parts.about(NAME, case, ids, MAX_TOKENS)

    def own(number: int) -> Found:
        return parts.get(NAME, f"ours-{number}", lambda: answered(questions, MAX_TOKENS))

    runs = [own(1)]
    base = {
        "folder": str(reading.folder),
        "device": runs[0]["device"],
        "dtype": runs[0]["dtype"],
        "end_ids": reading.end_ids,
    }
    job = {
        **base,
        "max_tokens": MAX_TOKENS,
        "items": list(zip(reading.texts(questions.prompts), ids, strict=True)),
        "warm": reading.texts(questions.warm[:1]),
    }
    peers = []
    for number, batch in enumerate(BATCHES, 1):
        peers.append(parts.get(NAME, f"peer-{batch}", lambda b=batch: tried({**job, "batch": b})))
        if number < RUNS:
            runs.append(own(number + 1))
    done = [part for part in peers if "seconds" in part]
    if not done:
        raise SystemExit("The peer failed with every batch size; what it said stands above.")
    peer = max(done, key=tokens_per_second)
    check = parts.get(NAME, "check", lambda: checked(questions, base, ids, runs[0], peer, reading))
    return row_of(case, runs, peers, peer, check, ids, reading), [*runs, peer]


def answered(questions: Asked, max_tokens: int, dtype: str | None = None, measure: bool = True) -> Found:
    """Our side in a process of its own."""
    return ours(
        "generate",
        {
            "model": MODEL,
            "dtype": dtype,
            "items": questions.jobs(questions.prompts),
            "warm": questions.jobs(questions.warm[:1]),
            "max_tokens": max_tokens,
            "measure": measure,
        },
    )


def tried(job: Found) -> Found:
    """The peer with one batch size; failing for want of memory is an answer too."""
    try:
        return theirs("transformers_generate", job)
    except PartFailed as error:
        return {"failed": str(error), "batch": job["batch"]}


def tokens_per_second(part: Found) -> float:
    """What a side wrote, over the time that all of it took, reading included."""
    return float(sum(part["written"]) / part["seconds"])


def checked(questions: Asked, base: Found, ids: list[Any], own: Found, peer: Found, reading: Reading) -> Found:
    """The same answers as plain transformers in fp32; and whether our bf16 answers part from the peer's only where
    bf16 can't tell which of two tokens is likelier."""
    some = spread(len(ids), CHECKED)
    pairs = zip(ids, peer["ids"], own["texts"], peer["texts"], strict=True)
    parted = [(prompt, begun(reading, written, mine)) for prompt, written, mine, other in pairs if mine != other]
    plain = theirs(
        "plain_writing",
        {
            **base,
            "greedy": [ids[index] for index in some],
            "greedy_tokens": CHECKED_TOKENS,
            "floor": [(ids[index], peer["ids"][index]) for index in some if peer["ids"][index]],
            "parted": parted,
        },
    )
    few = Asked([questions.prompts[index] for index in some], (), questions.warm)
    exact = answered(few, CHECKED_TOKENS, "float32", measure=False)["texts"]
    return {
        "fp32_items": len(some),
        "fp32_tokens": CHECKED_TOKENS,
        "fp32_same": sum(a == b for a, b in zip(exact, plain["texts"], strict=True)),
        "answers": len(ids),
        "differ": len(parted),
        "noise_floor_nats": plain["floor"],
        "differ_under_floor": sum(margin <= plain["floor"] for margin in plain["margins"]),
        "tokens_before_parting": sum(len(same) for _, same in parted) / len(parted) if parted else None,
    }


def answers_hold(check: Found) -> bool:
    """Whether our texts are plain transformers' in fp32, and those of the two sides part as bf16 may."""
    return check["fp32_same"] == check["fp32_items"] and part_as_bf16_may(check, check["answers"])


def begun(reading: Reading, written: list[int], text: str) -> list[int]:
    """The first of the `written` tokens, as far as `text` reads the same."""
    same = 0
    for count in range(1, len(written) + 1):
        if text.startswith(reading.said(written[:count])):
            same = count
    return written[:same]


def row_of(
    case: Case, runs: list[Found], peers: list[Found], peer: Found, check: Found, ids: list[Any], reading: Reading
) -> Found:
    """The case as the JSON shows it."""
    dtype = runs[0]["dtype"]
    shape, rates = limit.shape_of(reading.folder, dtype), rates_of(runs)
    phases = limit.of_writing(ids, runs[0]["written"])
    must_have_read(NAME, runs, phases[0].tokens)
    tokens = sum(runs[0]["written"])
    own = tokens / middle(runs)
    least = limit.limit_seconds(shape, phases, rates, dtype)
    row = judged(
        {
            "case": NAME,
            "unit": "tokens/s",
            "ours": own,
            "peer": f"{PEER}, {limit.SHORT[dtype]}, batch size {peer['batch']}",
            "theirs": tokens_per_second(peer),
            "ratio": own / tokens_per_second(peer),
            "limit": tokens / least,
            "limit_fraction": own * least / tokens,
            "same_answers": 1 - check["differ"] / check["answers"],
        },
        case.bar,
        case.goal,
    )
    return {
        **row,
        "answers_hold": answers_hold(check),
        "holds": row["holds"] and answers_hold(check),
        "items": len(ids),
        "shots": case.shots,
        "max_tokens": MAX_TOKENS,
        "dtype": dtype,
        "ours_runs": [part["seconds"] for part in runs],
        "ours_tokens": tokens,
        "peer_tokens": sum(peer["written"]),
        "peer_batches": {str(p["batch"]): p.get("failed") or round(tokens_per_second(p), 2) for p in peers},
        "same_tokens": peer["same_tokens"],
        "mib_above_weights": max(part["mib_above_weights"] or 0.0 for part in runs) or None,
        "check": plainly(check),
        "tokens_read": runs[0]["tokens_in"],
        "weights_without_embeddings": shape.weights,
        "rates": {"gflops": rates.gflops[limit.SHORT[dtype]], "gib_per_s": rates.gib_per_s},
        "phases": limit.shown(shape, phases, rates, dtype),
        "when": runs[0]["when"],
        "commit": runs[0]["commit"],
    }


if __name__ == "__main__":
    main()
