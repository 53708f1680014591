"""The quick side of scoring, generation and embedding: under a minute, without the peers.

Our side answers a few items in the dtype that measuring chose, beside the limit of these few. The answers are compared
with plain transformers, one sequence at a time, in fp32, where they must be equal (in bf16 two equally right programs
may part). What the last full run recorded stands beside it. Ends with exit code 1 where an answer is not the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import limit
import plain
from ours import embed, generate, score
from ours.measured import measured, open_model
from parts import Found, line, recorded_row
from prompts import Case, Reading, asked

EXACT = "float32"
ITEMS = 16
CHECKED_TOKENS = 2500
"""That plain transformers may read to check a case."""
NATS = 1e-3
"""How far a log-probability may be from plain transformers' in fp32."""
COSINE = 0.999


def scoring(cases: Mapping[str, Case], folder: Path, name: str) -> None:
    """Nats of choices."""
    reading = Reading(name)
    model, device, dtype = open_model(name)
    rows = []
    for case_name, case in cases.items():
        questions = asked(case, folder, ITEMS)
        items, warm = ([score.request(job) for job in questions.jobs(p)] for p in (questions.prompts, questions.warm))
        facts, _ = timed(model, device, dtype, partial(score.asked, warm), partial(score.asked, items))
        choices = reading.choices(questions.prompts, questions.words)
        phase = limit.of_scoring(reading.ids(questions.prompts), choices)
        rows.append(row_of("scoring", case_name, facts, reading.folder, dtype, [phase]))
    del model
    model, net = open_model(name, EXACT)[0], plain.opened(reading.folder, EXACT, device)
    for row, case in zip(rows, cases.values(), strict=True):
        row.update(same_scores(model, net, reading, case, folder))
    finish("scoring", rows)


def same_scores(model: Any, net: Any, reading: Reading, case: Case, folder: Path) -> Found:
    """Our log-probabilities beside plain transformers' for as many items and choices as there is time for."""
    questions = asked(case, folder, 2)
    ids, choices = reading.ids(questions.prompts), reading.choices(questions.prompts, questions.words)
    which = list(range(len(questions.words)))[:: max(1, len(questions.words) // 3)]
    reads = len({tuple(choices[0][c][:-1]) for c in which})
    few = max(1, min(len(ids), CHECKED_TOKENS // (reads * len(ids[0]))))
    found = score.asked([score.request(job) for job in questions.jobs(questions.prompts)], model)
    same, apart = 0, 0.0
    for index in range(few):
        theirs = plain.choice_nats(net, ids[index], [choices[index][c] for c in which])
        own = [found[index].nats[c] for c in which]
        off = max(abs(a - b) for a, b in zip(own, theirs, strict=True))
        same, apart = same + (off <= NATS), max(apart, off)
    checked = f"fp32, {few} items of {len(which)} choices: {apart:.1g} nats apart"
    return {"same_answers": same / few, "checked": checked}


def generation(case: Case, folder: Path, name: str, case_name: str, max_tokens: int) -> None:
    """Greedy texts, shorter than in the full run."""
    reading = Reading(name)
    model, device, dtype = open_model(name)
    questions = asked(case, folder, ITEMS)
    ids = reading.ids(questions.prompts)
    items = [generate.request(job, max_tokens) for job in questions.jobs(questions.prompts)]
    warm = [generate.request(job, 4) for job in questions.jobs(questions.warm)]
    facts, found = timed(model, device, dtype, partial(generate.asked, warm), partial(generate.asked, items))
    phases = limit.of_writing(ids, [answer.usage.tokens_out for answer in found])
    row = row_of("generation", case_name, facts, reading.folder, dtype, phases)
    del model
    model, net = open_model(name, EXACT)[0], plain.opened(reading.folder, EXACT, device)
    ends, few = reading.end_ids, 2
    own = generate.asked(items[:few], model)
    theirs = [reading.said(plain.greedy(net, prompt, max_tokens, ends)) for prompt in ids[:few]]
    same = sum(answer.text == text for answer, text in zip(own, theirs, strict=True))
    row |= {"same_answers": same / few, "checked": f"fp32, {few} answers of up to {max_tokens} tokens"}
    finish("generation", [row])


def embedding(texts: list[str], name: str, case_name: str, ids: Callable[[list[str]], list[list[int]]]) -> None:
    """Vectors, in the dtype that was chosen: here that is what is checked, by cosine."""
    import numpy as np
    import torch
    from transformers import AutoModel

    from tuningfork.models.bundled import folder_of

    *texts, last = texts
    model, device, dtype = open_model(name)
    facts, found = timed(model, device, dtype, partial(embed.asked, [last]), partial(embed.asked, texts))
    tokens, folder = ids(texts), folder_of(name)
    net = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    cosines = []
    with torch.inference_mode():
        for vector, row_ids in zip(found[:ITEMS], tokens, strict=False):
            states = net(input_ids=torch.tensor([row_ids], device=device)).last_hidden_state[0]
            own, mean = vector.values, states.mean(0).cpu().numpy()
            cosines.append(float(own @ mean / np.linalg.norm(own) / np.linalg.norm(mean)))
    row = row_of("embedding", case_name, facts, folder, dtype, [limit.of_embedding(tokens)])
    row["same_answers"] = sum(cosine >= COSINE for cosine in cosines) / len(cosines)
    row["checked"] = f"{len(cosines)} texts, cosine to fp32 at least {min(cosines):.5f}"
    finish("embedding", [row])


def timed(model: Any, device: str, dtype: str, warm: Callable[[Any], Any], run: Callable[[Any], Any]) -> Any:
    """As in a full run, with one short look at the machine for all cases."""
    return measured(model, device, warm, run, partial(rates_once, device, dtype))


@cache
def rates_once(device: str, dtype: str) -> limit.Rates:
    """Of this machine, when the first case begins."""
    return limit.measure(device, 0.02, (dtype,))


def row_of(name: str, case: str, facts: Found, folder: Path, dtype: str, phases: Any) -> Found:
    """One case, with what the full run recorded of it."""
    least = limit.limit_seconds(limit.shape_of(folder, dtype), phases, limit.Rates(**facts["rates"]), dtype)
    return {
        "case": case,
        "unit": "s",
        "ours": facts["seconds"],
        "limit": least,
        "limit_fraction": least / facts["seconds"],
        "dtype": dtype,
        "mib_above_weights": facts["mib_above_weights"],
        "rates": facts["rates"],
        "versions": facts["versions"],
        "recorded": recorded_row(name, case),
    }


def finish(name: str, rows: list[Found]) -> None:
    """Lines for people, then one JSON line."""
    for row in rows:
        fraction = f"{row['limit_fraction']:.2f} of the limit of these few items"
        print(f"{row['case']}: {row['ours']:.2f} s, {fraction}")
        print(f"    the same as plain transformers: {row['same_answers']:.2f} ({row['checked']})")
        full = row["recorded"]
        print(f"    recorded {full['when']}: {line(full)}" if full else "    no full run is recorded yet")
    first, *others = (limit.Rates(**row["rates"]) for row in rows)
    head = {"benchmark": name, "quick": True, "versions": rows[0]["versions"]}
    brief = [{key: value for key, value in row.items() if key not in ("rates", "versions")} for row in rows]
    print(json.dumps({**head, "machine": limit.machine(first.best(*others)), "rows": brief}))
    sys.exit(any(row["same_answers"] < 1 for row in rows))
