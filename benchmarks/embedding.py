"""Sentence vectors of 2,000 texts, against sentence-transformers.

    python benchmarks/embedding.py DATA_FOLDER [--quick] [--again | --again-ours] [--items N]

Ours runs in the dtype that measuring chose, the peer with its defaults (fp32, batches of 32, its own sorting); only
embedding is timed, after one small warm-up. Both run three times, in turn, each in a process of its own; medians count.
The vectors are right when their cosine to the peer's fp32 ones is at least 0.999, for every text.

`--quick` needs no peer: our side on fewer texts, and the cosine to plain transformers in fp32.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path

import limit
from parts import (
    Found,
    Parts,
    arguments,
    finish,
    judged,
    middle,
    must_have_read,
    opened,
    ours,
    plainly,
    rates_of,
    read,
    theirs,
)

MODEL = "minilm-l6"
PEER = "sentence-transformers 6.2.0"
NAME = "ag-news-2000"
CASES = (NAME,)
TEXTS, WARM, QUICK = 2000, 8, 250
RUNS = 3
COSINE = 0.999
BAR, GOAL = 0.3, 4.0


def main() -> None:
    """Run what is asked for and print a table, then one JSON line."""
    options = arguments(__doc__, CASES)
    if options.quick:
        from quick import embedding

        embedding(texts_of(options, QUICK), MODEL, NAME, token_ids)
        return
    parts = opened("embedding", options)
    row, facts = run(parts, options)
    finish(parts, [row], facts)


def run(parts: Parts, options: Namespace) -> tuple[Found, list[Found]]:
    """All parts of the case, and its row."""
    from tuningfork.models.bundled import folder_of

    *texts, last = texts_of(options, (options.items or TEXTS) + 1)
    folder = folder_of(MODEL)
    job = {"model": MODEL, "folder": str(folder), "texts": texts, "warm": [last] * WARM, "vectors": None}
    parts.about(NAME, texts)
    runs, peers = [], []
    for number in range(1, RUNS + 1):
        runs.append(parts.get(NAME, f"ours-{number}", lambda: ours("embed", job)))
        there = {**job, "device": runs[0]["device"]}
        peers.append(parts.get(NAME, f"peer-{number}", lambda j=there: theirs("sentence_transformers_embed", j)))
    check = parts.get(NAME, "check", lambda: checked({**job, "device": runs[0]["device"]}))
    dtype = runs[0]["dtype"]
    shape, rates = limit.shape_of(folder, dtype), rates_of(runs)
    phase = limit.of_embedding(token_ids(texts))
    must_have_read(NAME, runs, phase.tokens)
    own, other = middle(runs), middle(peers)
    least = limit.limit_seconds(shape, [phase], rates, dtype)
    row = judged(
        {
            "case": NAME,
            "unit": "s",
            "ours": own,
            "peer": f"{PEER}, {limit.SHORT[peers[0]['dtype']]}",
            "theirs": other,
            "ratio": other / own,
            "limit": least,
            "limit_fraction": least / own,
            "same_answers": check["same"],
        },
        BAR,
        GOAL,
    )
    row |= {
        "holds": row["holds"] and check["cosine_least"] >= COSINE,
        "items": len(texts),
        "dtype": dtype,
        "ours_runs": [part["seconds"] for part in runs],
        "peer_runs": [part["seconds"] for part in peers],
        "mib_above_weights": max(part["mib_above_weights"] or 0.0 for part in runs) or None,
        "check": plainly(check),
        "tokens_read": runs[0]["tokens_in"],
        "weights_without_embeddings": shape.weights,
        "rates": {"gflops": rates.gflops[limit.SHORT[dtype]], "gib_per_s": rates.gib_per_s},
        "phases": limit.shown(shape, [phase], rates, dtype),
        "when": runs[0]["when"],
        "commit": runs[0]["commit"],
    }
    return row, [*runs, peers[0]]


def checked(job: Found) -> Found:
    """Our vectors beside the peer's in fp32."""
    with tempfile.TemporaryDirectory() as place:
        vectors = str(Path(place) / "vectors.npy")
        ours("embed", {**job, "vectors": vectors})
        return theirs("sentence_transformers_embed", {**job, "vectors": vectors, "cosine": COSINE})


def texts_of(options: Namespace, count: int) -> list[str]:
    """The first texts of the train file."""
    return [row["text"] for row in read(options.folder / "ag_news" / "train.jsonl", count)]


def token_ids(texts: list[str]) -> list[list[int]]:
    """What the encoder reads of each text: cut at its longest input, its start and end tokens included."""
    import json

    from transformers import AutoTokenizer

    from tuningfork.models.bundled import folder_of

    folder = folder_of(MODEL)
    longest = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found: list[list[int]] = tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    return found


if __name__ == "__main__":
    main()
